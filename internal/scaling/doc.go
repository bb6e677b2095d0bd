// Package scaling reckons how pretraining would run on many GPUs, and what it would
// ask of the network between them and of the store its clips lie in. It measures
// nothing: work and sizes are counted from the model's own code, everything else is
// an assumption with a name, a value and a source (Assumptions.List).
//
//	w, err := scaling.Count()
//	a := scaling.Default()
//	step := scaling.Reckon(w, a, 512)
//	fmt.Printf("%.0f %% of 512 GPUs\n", 100*step.Efficiency)
//
// docs/scaling.md shows its tables; go run ./cmd/scaling prints them for other
// assumptions.
//
// Words. A process drives one GPU, a node has PerNode of them. Gradients travel in
// buckets: neighbouring parts of the one gradient vector, each averaged over the
// processes as soon as backward has left it. Exposed is the time of an exchange that
// no computation hides.
package scaling
