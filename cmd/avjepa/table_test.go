package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"avjepa/internal/ablation"
)

// A table without room is cut into several, which have every column once beside the first.
func TestWideTable(t *testing.T) {
	p := &ablation.Plan{Runs: []ablation.Run{{Name: "baseline"}, {Name: "no-modality-dropout"}}}
	rows := p.Table([]*ablation.Result{{Run: "baseline"}, {Run: "no-modality-dropout"}}, false)
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	var b bytes.Buffer
	wideTable(&b, "l"+strings.Repeat("r", len(rows[0])-1), rows, 80)
	for line := range strings.Lines(b.String()) {
		if n := runewidth.StringWidth(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, head := range rows[0][1:] {
		if n := strings.Count(b.String(), head); n != 1 {
			t.Errorf("%q stands %d times in\n%s", head, n, b.String())
		}
	}
	parts := strings.Count(b.String(), "\n\n") + 1
	if n := strings.Count(b.String(), "no-modality-dropout"); parts < 2 || n != parts {
		t.Errorf("%d parts name the run %d times:\n%s", parts, n, b.String())
	}
	b.Reset()
	wideTable(&b, "lr", [][]string{{strings.Repeat("x", 100), "1"}, {"y", "2"}}, 80) // no cut helps
	if n := strings.Count(b.String(), "\n"); n != 2 {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
	b.Reset()
	wideTable(&b, "lrr", [][]string{{"a", "b", "c"}}, 80)
	if got := fmt.Sprintf("%q", b.String()); got != `"a  b  c\n"` {
		t.Errorf("a narrow table is %s", got)
	}
}
