package torch

import (
	"math"
	"runtime"
	"slices"
	"unsafe"

	"avjepa/internal/engine"
)

var _ engine.Recorder = (*Engine)(nil)

// mostRecordings bounds the steps that are recorded: batches alternate between two
// sets of buffers, and the last one of an epoch may be smaller.
const mostRecordings = 4

// recorder puts off the operations of a step and finds out whether it knows them.
type recorder struct {
	able  recording // what records; nil where nothing does
	on    bool      // operations are put off
	now   tape      // those of this step
	seen  []tape    // those of former ones that are not recorded
	known []known
	why   error // nothing is recorded any more
}

// recording is the shim's functions that record, or a test's. Between begin and end
// the calls of the shim are recorded; replay makes them with other words.
type recording interface {
	begin() error
	end() (handle uintptr, words int, err error)
	replay(handle uintptr, words []uint64) error
	free(handle uintptr)
}

// tape is a list of calls of the shim. Their arguments have 0 where they may change
// from step to step.
type tape struct {
	calls []tapeCall
	data  []uint64 // the arguments, one after the other
	held  []uint64 // what changes, as the arguments have it
	words []uint64 // and as the shim's kernels take it
}

// tapeCall is a call of f. What is held of its arguments belongs in two places at most.
type tapeCall struct {
	name     string
	f        function
	at, size int    // of the arguments in data
	places   [2]int // within them
	held, n  int    // the first and the number of what is held
}

// known is a tape that was recorded.
type known struct {
	tape
	handle uintptr
}

func (t *tape) reset() {
	t.calls, t.data, t.held, t.words = t.calls[:0], t.data[:0], t.held[:0], t.words[:0]
}

// same reports whether two tapes differ in nothing but what may change.
func (t *tape) same(o *tape) bool {
	return slices.Equal(t.calls, o.calls) && slices.Equal(t.data, o.data) &&
		len(t.words) == len(o.words)
}

func (t *tape) clone() tape {
	return tape{calls: slices.Clone(t.calls), data: slices.Clone(t.data),
		held: slices.Clone(t.held), words: slices.Clone(t.words)}
}

// Record is engine.Recorder's. Where nothing is recorded, as on a CPU, it calls step.
// A fault of recording ends recording, not the step: RecordingFault says what it was.
func (e *Engine) Record(step func()) {
	e.alive()
	r := &e.recorder
	if r.able == nil || r.why != nil || r.on {
		step()
		return
	}
	runtime.LockOSThread() // a thread records what it queues itself
	defer runtime.UnlockOSThread()
	r.now.reset()
	r.on = true
	step()
	if !r.on {
		return // something in between needed the results
	}
	r.on = false
	if e.err != nil {
		return
	}
	same := func(t *tape) bool { return t.same(&r.now) }
	if i := slices.IndexFunc(r.known, func(k known) bool { return same(&k.tape) }); i >= 0 {
		e.keep("Record", r.able.replay(r.known[i].handle, r.now.words))
		return
	}
	i := slices.IndexFunc(r.seen, func(t tape) bool { return same(&t) })
	switch {
	case i >= 0 && len(r.known) < mostRecordings:
		r.seen = slices.Delete(r.seen, i, i+1)
		e.capture()
		return
	case i < 0:
		if len(r.seen) == mostRecordings {
			r.seen = slices.Delete(r.seen, 0, 1)
		}
		r.seen = append(r.seen, r.now.clone())
	}
	e.play()
}

// RecordingFault says why this engine records no more; nil when it does or never did.
func (e *Engine) RecordingFault() error { return e.recorder.why }

// capture records the tape and runs it. If that cannot be done it plays it.
func (e *Engine) capture() {
	r := &e.recorder
	if r.why = r.able.begin(); r.why == nil {
		e.play()
		handle, words, err := r.able.end()
		switch {
		case e.err != nil:
			r.why, e.err = e.err, nil
		case err != nil:
			r.why = err
		case words != len(r.now.words):
			r.why = errWords
		}
		if r.why == nil {
			r.known = append(r.known, known{r.now.clone(), handle})
			e.keep("Record", r.able.replay(handle, r.now.words))
			return
		}
		if err == nil {
			r.able.free(handle)
		}
	}
	e.play()
}

// flush makes the calls that were put off, and those to come at once.
func (e *Engine) flush() {
	if e.recorder.on {
		e.recorder.on = false
		e.play()
	}
}

// play makes the calls of the tape.
func (e *Engine) play() {
	t := &e.recorder.now
	for _, c := range t.calls {
		args := t.data[c.at : c.at+c.size]
		for i := range c.n {
			args[c.places[i]] = t.held[c.held+i]
		}
		e.call(c.name, c.f, uintptr(unsafe.Pointer(&args[0])), uintptr(8*c.size))
		for i := range c.n {
			args[c.places[i]] = 0
		}
	}
}

// put puts a call off. It returns false when it must be made now, behind those that
// were put off.
func (e *Engine) put(name string, f function, args, size uintptr) bool {
	t := &e.recorder.now
	switch {
	case f == e.lib.upload && len(t.calls) == 0:
		return false // before all others
	case f == e.lib.upload, f == e.lib.download, f == e.lib.attention && e.args.attention.mask.p > 0:
		e.flush()
		return false
	}
	n := int(size / 8)
	c := tapeCall{name: name, f: f, at: len(t.data), size: n, held: len(t.held)}
	t.data = append(t.data, unsafe.Slice(*(**uint64)(unsafe.Pointer(&args)), n)...)
	switch f {
	case e.lib.dropout:
		a := &e.args.dropout
		if a.mask.p > 0 {
			t.hold(&c, unsafe.Offsetof(a.mask)+unsafe.Offsetof(a.mask.key))
			t.words = append(t.words, a.mask.key)
		}
	case e.lib.adamw:
		a := &e.args.adamw
		t.hold(&c, unsafe.Offsetof(a.lr))
		t.hold(&c, unsafe.Offsetof(a.step))
		t.words = append(t.words, adamwWords(a)...)
	}
	t.calls = append(t.calls, c)
	return true
}

// hold takes the word at an offset out of the arguments of c, the last on the tape.
func (t *tape) hold(c *tapeCall, offset uintptr) {
	at := int(offset / 8)
	t.held = append(t.held, t.data[c.at+at])
	t.data[c.at+at] = 0
	c.places[c.n] = at
	c.n++
}

// adamwWords returns what AdamW's kernel takes of the rate and the number of a step:
// lr/(1−β₁ᵗ), 1/(1−β₂ᵗ), 1 − lr·decay and 0 as float32.
func adamwWords(a *adamwArgs) []uint64 {
	pair := func(lo, hi float64) uint64 {
		return uint64(math.Float32bits(float32(hi)))<<32 | uint64(math.Float32bits(float32(lo)))
	}
	t := float64(a.step)
	return []uint64{pair(a.lr/(1-math.Pow(a.beta1, t)), 1/(1-math.Pow(a.beta2, t))),
		pair(1-a.lr*a.weightDecay, 0)}
}

// forget frees all recordings: memory they use is about to be freed.
func (e *Engine) forget() {
	e.flush()
	r := &e.recorder
	for _, k := range r.known {
		r.able.free(k.handle)
	}
	r.known, r.seen = nil, nil
}
