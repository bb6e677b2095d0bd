// Package collective makes processes that were started together a group that
// trains one model.
//
// Its words: a process has a rank, 0 … size−1; process 0 serves the store, a small
// map from names to bytes where the others find it, at the master address. The
// watch is one connection of every process with process 0 on which each says every
// second that it lives; so a process that is killed, hangs or cannot be reached is
// noticed within seconds, and every process learns which one it was and why, even
// while it waits in a sum over processes that will never end.
//
//	place, err := collective.FromEnviron(getenv)
//	…
//	p, err := collective.Open(ctx, lib, collective.Config{Place: place, …})
//	…
//	all, err := p.Exchange([]byte("from every process to every process"))
//	group := p.Group(e) // an engine.Group for tensors of e
//	…
//	p.Close(err)
//
// The store and the sums are libtorch's (c10d: TCPStore, gloo, NCCL), through the
// shim of package torch. Neither store nor sums are authenticated or encrypted:
// they are for machines that trust each other's network.
package collective
