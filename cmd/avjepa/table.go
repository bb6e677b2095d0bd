package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
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

// tableWidth is the most columns that a wide table takes on out: those of its terminal,
// at least 80.
func tableWidth(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > leastWidth {
			return w
		}
	}
	return leastWidth
}

const leastWidth = 80

// wideTable is table for rows that may not have room in width columns: it is cut into
// several tables below each other, each with the first column.
func wideTable(w io.Writer, align string, rows [][]string, width int) {
	wide := func(column int) (n int) {
		for _, row := range rows {
			n = max(n, runewidth.StringWidth(row[column]))
		}
		return n
	}
	for from := 1; from < len(align); {
		to, room := from, width-wide(0)
		for ; to < len(align) && (to == from || room >= 2+wide(to)); to++ {
			room -= 2 + wide(to)
		}
		part := make([][]string, len(rows))
		for i, row := range rows {
			part[i] = append([]string{row[0]}, row[from:to]...)
		}
		if from > 1 {
			fmt.Fprintln(w)
		}
		table(w, align[:1]+align[from:to], part)
		from = to
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
