package jepa

// Free gives the model's memory back to the engine; it must not be used any
// more. Batches, directions and reported numbers are small and stay until the
// engine is closed.
func (m *Model) Free() {
	m.arena.Free()
	m.Params.Free()
}
