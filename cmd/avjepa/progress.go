package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows stages of work on stderr: a bar each on a terminal, else a
// plain line every ten seconds or five per cent.
type progress struct {
	out   io.Writer
	bars  *mpb.Progress // nil when out is no terminal
	quiet bool
}

func newProgress(out *os.File, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet}
	if !quiet && term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb" {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(32), mpb.WithRefreshRate(150*time.Millisecond))
	}
	return p
}

// wait leaves the finished bars on the screen.
func (p *progress) wait() {
	if p.bars != nil {
		p.bars.Wait()
	}
}

// say prints a line above the bars.
func (p *progress) say(format string, args ...any) {
	if p.quiet {
		return
	}
	if p.bars != nil {
		fmt.Fprintf(p.bars, format+"\n", args...)
		return
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// stage is one bar: some count towards a total.
type stage struct {
	p     *progress
	name  string
	bar   *mpb.Bar
	start time.Time

	mu       sync.Mutex
	total    int64
	now      int64
	first    int64 // where counting began: a resumed stage has work behind it
	note     string
	lastLine time.Time
	lastAt   float64
}

// Lines without a terminal, and the share of the work before an ETA is shown:
// earlier ones mislead.
const (
	lineEvery  = 10 * time.Second
	lineShare  = 0.05
	etaFromNow = 0.03
)

// stage begins a stage. unit names what is counted.
func (p *progress) stage(name string, total int64, unit string) *stage {
	s := &stage{p: p, name: name, total: total, start: time.Now(), lastLine: time.Now()}
	if p.bars != nil {
		s.bar = p.bars.New(total, mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding("─").Rbound(""),
			mpb.PrependDecorators(decor.Name(name, decor.WC{W: 12, C: decor.DindentRight})),
			mpb.AppendDecorators(
				decor.CountersNoUnit(" %d/%d "+unit),
				decor.Any(func(decor.Statistics) string { return s.tail() }),
			))
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
	line := s.bar == nil && !s.p.quiet && n < total &&
		(time.Since(s.lastLine) >= lineEvery || share-s.lastAt >= lineShare && time.Since(s.lastLine) >= 2*time.Second)
	if line {
		s.lastLine, s.lastAt = time.Now(), share
	}
	s.mu.Unlock()
	if s.bar != nil {
		s.bar.SetTotal(total, false)
		s.bar.SetCurrent(n)
	} else if line {
		s.p.say("%-11s %3.0f %%%s", s.name, 100*share, s.tail())
	}
}

// tail is the note and the time left.
func (s *stage) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	if s.note != "" {
		text = " · " + s.note
	}
	if s.now >= s.total && s.total > 0 {
		return text + " · " + span(time.Since(s.start))
	}
	done := float64(s.now-s.first) / float64(max(s.total-s.first, 1))
	if done < etaFromNow {
		return text
	}
	left := time.Duration(float64(time.Since(s.start)) * (1 - done) / done)
	return text + " · " + span(left) + " left"
}

// done ends the stage, as complete.
func (s *stage) done() {
	if s.bar != nil {
		s.bar.SetTotal(max(s.now, 1), true)
		return
	}
	s.mu.Lock()
	s.now, s.total = max(s.now, 1), max(s.now, 1)
	s.mu.Unlock()
	s.p.say("%-11s done%s", s.name, s.tail())
}

// stop ends the stage where it is, after an error or an interrupt.
func (s *stage) stop() {
	if s.bar != nil {
		s.bar.Abort(false)
	}
}

// span writes a duration as people say it: 45 s, 3 min 20 s, 2 h 5 min.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
