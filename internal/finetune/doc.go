// Package finetune trains classifiers on a pretrained encoder, whose weights go along
// or stay as they are, and says how good they are.
//
// Two heads are trained together, their losses summed: a linear one on the CLS and
// an attentive one on the patch tokens. A clip shows one view with both modalities,
// or with one alone. With a backbone learning rate of 0 the encoder is frozen: then
// its features are made once and kept, and an epoch costs the heads alone.
//
//	net, err := finetune.New(e, model, batch, finetune.Training)
//	fit, err := net.Import(arrays) // of the pretrained checkpoint
//	run, err := train.Open("runs/mine")
//	res, err := finetune.Train(ctx, run, e, net, data, cfg, observe)
//	scores, err := net.Score(ctx, clips, finetune.ScoreConfig{Windows: 6}, nil)
//	report := finetune.Measure(scores, truth, finetune.MeasureConfig{Resamples: 1000})
//
// A run folder holds config.toml, metrics.jsonl (a line a step), epochs.jsonl (a line
// an epoch), checkpoints/step-*.safetensors to go on from, and best.safetensors: encoder,
// heads and names of classes of the best epoch.
//
// Source: paper, section 3 and table 4.
package finetune
