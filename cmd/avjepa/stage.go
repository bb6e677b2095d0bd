package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// stage is one bar: some count towards a total. It ends with done or stop.
type stage struct {
	p       *progress
	name    string
	unit    string
	bar     *mpb.Bar
	start   time.Time
	release func() bool

	mu       sync.Mutex
	total    int64
	now      int64
	first    int64 // where counting began: a resumed stage has work behind it
	note     string
	lastLine time.Time
	lastAt   float64 // share at that line
	took     time.Duration
}

// Lines without a terminal, and the share of the work before an ETA is shown:
// earlier ones mislead.
const (
	lineEvery = 10 * time.Second
	lineLeast = 2 * time.Second
	lineShare = 0.05
	jsonEvery = 250 * time.Millisecond
	etaShare  = 0.03
)

// stage begins a stage. unit names what is counted. An interrupt is answered
// with what the stage leaves behind.
func (p *progress) stage(ctx context.Context, name string, total int64, unit string) *stage {
	return p.stageThat(ctx, name, total, unit, func(n int64) string {
		return fmt.Sprintf("stopping %s after %d of %d %s", name, n, total, unit)
	})
}

// stageThat is stage with words of its own for an interrupt after n units.
func (p *progress) stageThat(ctx context.Context, name string, total int64, unit string,
	stopping func(n int64) string) *stage {
	s := &stage{p: p, name: name, unit: unit, total: total, start: time.Now(), lastLine: time.Now()}
	s.release = p.onInterrupt(ctx, func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return stopping(s.now)
	})
	if p.lines {
		s.write()
	}
	if p.bars != nil {
		s.bar = p.bars.New(total, p.style,
			mpb.PrependDecorators(decor.Name(name, decor.WC{W: 12, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.tail() })))
	}
	return s
}

// from says that the count begins at n, for the ETA.
func (s *stage) from(n int64) {
	s.mu.Lock()
	s.first, s.now = n, n
	s.mu.Unlock()
}

// set moves to n of total with a note such as "loss 0.31".
func (s *stage) set(n, total int64, note string) {
	s.mu.Lock()
	s.now, s.total, s.note = n, total, note
	share := float64(n) / float64(max(total, 1))
	since := time.Since(s.lastLine)
	line := s.bar == nil && n < total &&
		(since >= lineEvery || share-s.lastAt >= lineShare && since >= lineLeast || s.p.lines && since >= jsonEvery)
	if line {
		s.lastLine, s.lastAt = time.Now(), share
	}
	s.mu.Unlock()
	if s.bar != nil {
		s.bar.SetTotal(total, false)
		s.bar.SetCurrent(n)
	} else if line && s.p.lines {
		s.write()
	} else if line {
		s.p.say("%-11s %3.0f %%%s", s.name, 100*share, s.tail())
	}
}

// write tells a program where the stage is.
func (s *stage) write() {
	s.mu.Lock()
	l := progressLine{Stage: s.name, Done: s.now, Total: s.total, Unit: s.unit, Note: s.note}
	s.mu.Unlock()
	l.write(s.p.out)
}

// tail is the count, the time left or taken, and the note, which a narrow
// terminal may cut.
func (s *stage) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(" %d/%d", s.now, s.total)
	if s.note == "" {
		text += " " + s.unit // a note says it well enough, and 80 columns are few
	}
	done := float64(s.now-s.first) / float64(max(s.total-s.first, 1))
	switch {
	case s.took > 0:
		text += " · " + span(s.took)
	case done >= etaShare && s.now < s.total:
		left := time.Duration(float64(time.Since(s.start)) * (1 - done) / done)
		text += " · " + span(left) + " left"
	}
	if s.note != "" {
		text += " · " + s.note
	}
	return text
}

// done ends the stage, as complete.
func (s *stage) done() {
	s.end()
	s.mu.Lock()
	s.total = s.now
	s.mu.Unlock()
	if s.bar != nil {
		s.bar.SetTotal(max(s.now, 1), true)
		return
	}
	if s.p.lines {
		s.write()
		return
	}
	s.p.say("%-11s done %s", s.name, s.tail())
}

// stop ends the stage where it is, after an error or an interrupt.
func (s *stage) stop() {
	s.end()
	if s.bar != nil {
		s.bar.Abort(false)
	}
}

func (s *stage) end() {
	s.release()
	s.mu.Lock()
	s.took = max(time.Since(s.start), 1)
	s.mu.Unlock()
}

// endWith ends the stage as err says.
func (s *stage) endWith(err error) {
	if err != nil {
		s.stop()
	} else {
		s.done()
	}
}
