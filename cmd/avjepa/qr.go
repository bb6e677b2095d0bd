package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"
)

// qrQuiet is the margin that readers of QR codes want, in modules.
const qrQuiet = 4

// showQR draws an address for a phone's camera, two modules a cell, if out is a terminal that
// has colours, the characters and the room. The code is black on white whatever the
// terminal's own colours are: not every reader takes an inverted one.
func showQR(out io.Writer, address string, env func(string) string) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || env("TERM") == "dumb" || env("NO_COLOR") != "" ||
		!unicodeLocale(env) {
		return
	}
	text, width, err := qrCells(address)
	if err != nil {
		return // the address is on the screen
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns < width {
		return
	}
	fmt.Fprint(out, text)
}

// qrCells returns a QR code as lines of half blocks, and how many columns it takes.
func qrCells(address string) (text string, width int, err error) {
	code, err := qr.Encode(address, qr.L)
	if err != nil {
		return "", 0, err
	}
	var b strings.Builder
	width = code.Size + 2*qrQuiet
	for y := -qrQuiet; y < code.Size+qrQuiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -qrQuiet; x < code.Size+qrQuiet; x++ {
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); {
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), width, nil
}
