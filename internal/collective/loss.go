package collective

import (
	"fmt"
	"strings"
	"unicode"

	"avjepa/internal/engine"
)

// Loss is the error of a group of which a process ended too early, hangs or cannot
// be reached. It is an engine.ErrLost.
type Loss struct {
	Rank int
	Host string
	Why  string
}

func (l *Loss) Error() string {
	return fmt.Sprintf("rank %d on host %s %s: start all processes again with --resume to go on "+
		"from the last checkpoint", l.Rank, l.Host, l.Why)
}

// Unwrap returns engine.ErrLost.
func (l *Loss) Unwrap() error { return engine.ErrLost }

// maxText bounds, in bytes, what a process says about its end.
const maxText = 800

// oneLine makes text of another process fit for a line of a terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + " …"
	}
	return s
}
