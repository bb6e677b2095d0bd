package scaling

import (
	"fmt"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

func percent(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

func tenths(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func micros(s float64) string { return fmt.Sprintf("%.0f µs", 1e6*s) }

func millis(s float64) string {
	ms := 1000 * s
	switch {
	case ms == 0:
		return "0"
	case ms < .095:
		return fmt.Sprintf("%.2f", ms)
	case ms < 9.95:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// size writes bytes with three digits, by thousands.
func size(n float64) string {
	for _, unit := range []string{"bytes", "kB", "MB", "GB", "TB"} {
		if n < 999.5 {
			return three(n) + " " + unit
		}
		n /= 1000
	}
	return three(n) + " PB"
}

func rate(n float64) string { return size(n) + "/s" }

// three writes a number with three digits, or all of a larger one.
func three(x float64) string {
	switch {
	case x >= 99.5:
		return grouped(fmt.Sprintf("%.0f", x))
	case x >= 9.995:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
	case x == 0:
		return "0"
	case x >= .9995:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

// grouped puts thin spaces between thousands from five digits on.
func grouped(digits string) string {
	if len(digits) < 5 {
		return digits
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString("\u202f")
		}
		b.WriteRune(d)
	}
	return b.String()
}

// table writes rows as Markdown, the first as its head.
func table(rows [][]string) string {
	var b strings.Builder
	for i, r := range rows {
		b.WriteString("| " + strings.Join(r, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(r)) + "|\n")
		}
	}
	return b.String()
}
