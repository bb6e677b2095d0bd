package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"
)

// progress shows stages of work on stderr: a bar each on a terminal, else a
// plain line every ten seconds or five per cent. For a program that watches, it writes
// a JSON object a line instead.
type progress struct {
	out   io.Writer
	bars  *mpb.Progress // nil when out is no terminal
	quiet bool
	lines bool // JSON
	style mpb.BarStyleComposer
}

func newProgress(out *os.File, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet, style: barStyle(os.Getenv)}
	if !quiet && term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb" {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(barWidth),
			mpb.WithRefreshRate(150*time.Millisecond))
	}
	return p
}

// progressLine is a line of progress for a program that watches: where a stage is, or
// something that was said.
type progressLine struct {
	Stage string `json:"stage,omitempty"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	Unit  string `json:"unit,omitempty"`
	Note  string `json:"note,omitempty"`
	Said  string `json:"said,omitempty"`
}

// newLines returns progress that is written as JSON.
func newLines(out *os.File) *progress { return &progress{out: out, lines: true} }

// write writes a line; what came of it nobody could be told.
func (l progressLine) write(out io.Writer) {
	if text, err := json.Marshal(l); err == nil {
		_, _ = out.Write(append(text, '\n'))
	}
}

// barWidth is in cells; a narrow terminal gets less.
const barWidth = 20

// barStyle draws with lines where the locale has them, else in ASCII. There is
// no colour in either.
func barStyle(env func(string) string) mpb.BarStyleComposer {
	full, empty := "━", "─"
	if !unicodeLocale(env) {
		full, empty = "=", "."
	}
	return mpb.BarStyle().Lbound("").Filler(full).Tip(full).Padding(empty).Rbound("")
}

// unicodeLocale says whether the locale has more than ASCII.
func unicodeLocale(env func(string) string) bool {
	locale := env("LANG")
	for _, name := range []string{"LC_CTYPE", "LC_ALL"} { // the last one counts most
		if v := env(name); v != "" {
			locale = v
		}
	}
	l := strings.ToLower(locale)
	return strings.Contains(l, "utf-8") || strings.Contains(l, "utf8")
}

// wait leaves the finished bars on the screen.
func (p *progress) wait() {
	if p.bars != nil {
		p.bars.Wait()
	}
}

// say prints a line above the bars, unless all is to be quiet.
func (p *progress) say(format string, args ...any) {
	if !p.quiet {
		p.tell(format, args...)
	}
}

// tell prints a line above the bars.
func (p *progress) tell(format string, args ...any) {
	if p.lines {
		progressLine{Said: fmt.Sprintf(format, args...)}.write(p.out)
		return
	}
	if p.bars != nil {
		fmt.Fprintf(p.bars, "\r"+format+"\n", args...) // the terminal may have written ^C there
		return
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// sayUnread lists clips that could not be read, the first few of many.
func (p *progress) sayUnread(clips map[string]error) {
	const most = 5
	keys := make([]string, 0, len(clips))
	for k := range clips {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		if i == most {
			p.say("… and %d more", len(keys)-most)
			return
		}
		p.say("not read: %s: %v", k, clips[k])
	}
}

// onInterrupt says what is being saved when ctx is cancelled, until release is
// called.
func (p *progress) onInterrupt(ctx context.Context, what func() string) (release func() bool) {
	return context.AfterFunc(ctx, func() {
		p.tell("%s, press Ctrl-C again to quit now", what())
	})
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

// spanOf is span of a number of seconds.
func spanOf(seconds float64) string { return span(time.Duration(seconds * float64(time.Second))) }
