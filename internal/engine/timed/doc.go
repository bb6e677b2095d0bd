// Package timed is an engine that measures another one: how often each operation
// is asked for, how long it takes and how many FLOPs it has, by the part of the
// model that asks.
//
//	e := timed.New(cpu, timed.Part{Name: "SIGReg", In: "sigreg.(*Regularizer)"})
//	model, err := jepa.New(e, cfg, seed, batch)
//	…
//	e.Reset() // behind the steps that warm up
//	model.Step(batch, step)
//	for _, t := range e.Totals() { … }
//
// An engine that queues is made to wait after every operation, so the sum of the
// operations is the time of a step without overlap. The engine for CPUs does not
// queue.
package timed
