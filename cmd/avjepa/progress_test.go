package main

import (
	"strings"
	"testing"
	"time"
)

// An ETA from the first few steps misleads: it is shown from 3 % on, counted
// from where a resumed stage began.
func TestETA(t *testing.T) {
	s := &stage{total: 1000, unit: "steps", start: time.Now().Add(-30 * time.Second)}
	s.now = 29
	if text := s.tail(); text != " 29/1000 steps" {
		t.Errorf("at 2.9 %%: %q", text)
	}
	s.now = 100 // 30 s for a tenth
	if text := s.tail(); text != " 100/1000 steps · 4 min 30 s left" {
		t.Errorf("at 10 %%: %q", text)
	}
	s.from(900)
	s.now = 910 // 30 s for a tenth of what was left
	if text := s.tail(); text != " 910/1000 steps · 4 min 30 s left" {
		t.Errorf("resumed: %q", text)
	}
	s.note, s.took = "loss 0.3", 65*time.Second
	if text := s.tail(); text != " 910/1000 · 1 min 5 s · loss 0.3" {
		t.Errorf("ended: %q", text)
	}
}

func TestTableAlignsWideRunes(t *testing.T) {
	var b strings.Builder
	table(&b, "lr", [][]string{{"音", "1"}, {"a→b", "10"}})
	if want := "音    1\na→b  10\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
