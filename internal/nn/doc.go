// Package nn holds the layers that encoder, projector and probes are built
// from. There is no autograd: every layer has a Forward and a Backward side by
// side, and what Backward needs is kept in a cache value of the caller's, so
// the same layer can run several times before any of its Backwards.
//
// Parameters are registered first and given memory afterwards, all at once:
//
//	ps := nn.NewParams()
//	head := nn.NewLinear(ps, "head", 192, 10, nn.Normal(0.02), nn.Zeros())
//	err := ps.Build(e, nn.WithGradients)
//	ps.Init(seed)
//	y := cx.Arena.New(rows, 10)
//	head.Forward(cx, y, x)
//
// Forward sets outputs. Backward sets or turns its gradient argument in place,
// as each doc comment says, and adds to the gradients of the parameters.
// Temporaries come from the Context's arena and are given back before return.
package nn
