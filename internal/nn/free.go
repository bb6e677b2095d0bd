package nn

// Free gives the memory of all blocks back. The register must not be used any
// more.
func (ps *Params) Free() {
	ps.Values.Buffer().Free()
	if !ps.Grads.Nil() {
		ps.Grads.Buffer().Free()
	}
	if len(ps.buffers) > 0 {
		ps.buffers[0].Value.Buffer().Free() // all lie in one
	}
}
