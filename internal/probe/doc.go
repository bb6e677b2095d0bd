// Package probe fits classifiers on the features of an encoder that does not
// learn from them: what a head can read says how much the features hold.
//
// There are two kinds. A frozen probe, Linear, is fitted to the features of a
// finished encoder, all at once, on standardised embeddings:
//
//	p, err := probe.Fit(engine, probe.Default(), train, labels, 8)
//	top1 := metrics.TopK(p.Scores(heldOut), want, 8, 1)
//
// Online probes, Online, learn beside an encoder in training, from the features
// of each of its steps. They have a LinearHead on the CLS and an AttentiveHead
// on the patch tokens, with parameters and an optimiser of their own. Features
// are detached: no gradient of a probe reaches the encoder.
//
//	o, err := probe.NewOnline(engine, probe.DefaultOnline(8), cfg, seed, batch)
//	err = o.Step(model.Features(), labels) // after model.Step
//	linear, attentive := o.Score(model, group)
package probe
