package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// table writes rows in columns as wide as their widest cell on a terminal.
// align has one letter per column: l for text, r for numbers.
func table(w io.Writer, align string, rows [][]string) {
	widths := make([]int, len(align))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell))
			if i > 0 {
				b.WriteString("  ")
			}
			if align[i] == 'r' {
				b.WriteString(pad + cell)
			} else {
				b.WriteString(cell + pad)
			}
		}
		io.WriteString(w, strings.TrimRight(b.String(), " ")+"\n")
	}
}

// amount is a number of things with their name, which is given in the plural: 1 clip,
// 2 clips, 1 class.
func amount(n int, things string) string {
	if n == 1 {
		if one, found := strings.CutSuffix(things, "sses"); found {
			things = one + "ss"
		} else {
			things = strings.TrimSuffix(things, "s")
		}
	}
	return fmt.Sprintf("%d %s", n, things)
}
