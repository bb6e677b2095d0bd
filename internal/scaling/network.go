package scaling

import "math"

// Ring returns the seconds of averaging n bytes over all processes in one ring that
// visits the GPUs node by node: 2·(N−1) steps, each of n/N bytes. Each GPU's port
// carries a ring of its own, so a node sends with all of its ports; every step waits
// for the slowest, which is one between nodes when there is more than one.
//
// Source: Patarasuk & Yuan 2009, bandwidth optimal all-reduce.
func (a Assumptions) Ring(n float64, gpus int) float64 {
	if gpus < 2 {
		return 0
	}
	steps, each, hop := 2*float64(gpus-1), a.NVLink, a.NVLinkHop
	if gpus > a.PerNode {
		each = math.Min(a.NVLink, a.Network*float64(a.PerNode))
		hop = a.NetworkHop
	}
	return a.Launch + steps*(hop+n/float64(gpus)/each)
}

// Hierarchical returns the seconds of averaging n bytes in three stages: scattered
// sums over NVLink, then each GPU's share in a ring over the nodes, then gathered
// over NVLink.
func (a Assumptions) Hierarchical(n float64, gpus int) float64 {
	in := min(gpus, a.PerNode)
	nodes := gpus / in
	if gpus < 2 {
		return 0
	}
	half := float64(in-1) * (a.NVLinkHop + n/float64(in)/a.NVLink)
	share := n / float64(in)
	between := 2 * float64(nodes-1) * (a.NetworkHop + share/float64(nodes)/a.Network)
	return a.Launch + 2*half + between
}

// AllReduce returns the seconds of the better of both.
func (a Assumptions) AllReduce(n float64, gpus int) float64 {
	return math.Min(a.Ring(n, gpus), a.Hierarchical(n, gpus))
}

// Gather returns the seconds in which every host learns a few bytes of every other,
// in a ring of TCP connections.
func (a Assumptions) Gather(gpus int) float64 { return float64(gpus-1) * a.HostHop }
