package engine

// Recorder is what an Engine may also be: one that can queue all operations of a step
// at the cost of one.
type Recorder interface {
	// Record calls step, and the operations that step asks for are done, as they would
	// be without Record. An engine may put them off until step returns, and may record
	// them the second time it sees them; when a later step asks for the same again, but
	// for the keys of dropout masks and the rate and number of AdamW's step, it runs
	// the recording.
	//
	// Uploads belong before the first operation of step, and whatever waits for the
	// device (Download, Sync) behind step: elsewhere they are right too, but then
	// nothing is recorded. step may not use a Group.
	Record(step func())
}

// Record calls step by way of the engine's Recorder, if it is one.
func Record(e Engine, step func()) {
	if r, ok := e.(Recorder); ok {
		r.Record(step)
		return
	}
	step()
}
