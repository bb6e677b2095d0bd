package main

import (
	"bytes"
	"strings"
	"testing"

	"rsc.io/qr"
)

// TestQRCells reads the cells back: every module is where the code has it, with a margin.
func TestQRCells(t *testing.T) {
	const address = "https://192.168.1.20:8420/#t=ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	code, err := qr.Encode(address, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	text, width, err := qrCells(address)
	if err != nil || width != code.Size+8 {
		t.Fatalf("%d columns, %v", width, err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != (width+1)/2 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		cells := []rune(strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m"))
		if len(cells) != width {
			t.Fatalf("line %d has %d cells", i, len(cells))
		}
		for j, c := range cells {
			upper, lower := c == '█' || c == '▀', c == '█' || c == '▄'
			x, y := j-qrQuiet, 2*i-qrQuiet
			if upper != code.Black(x, y) || lower != code.Black(x, y+1) {
				t.Fatalf("cell %d, %d is %q", j, i, c)
			}
		}
	}
	// What is no terminal gets none.
	var b bytes.Buffer
	if showQR(&b, address, func(string) string { return "C.UTF-8" }); b.Len() > 0 {
		t.Error("a code in a file")
	}
}
