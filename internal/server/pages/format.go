package pages

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// funcs are what templates call.
func (s *Site) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":    func(name string) string { return assetsPath + s.urls[name].File },
		"scripts":  s.scripts,
		"clock":    clock,
		"percent":  percent,
		"count":    func(n int) string { return grouped(int64(n)) },
		"count64":  grouped,
		"hours":    hours,
		"bytes":    size,
		"date":     date,
		"ago":      func(t time.Time) string { return ago(time.Since(t)) },
		"join":     func(list []string) string { return strings.Join(list, ", ") },
		"words":    func(s string) string { return strings.ReplaceAll(s, "_", " ") },
		"figure":   figure,
		"sentence": sentence,
		"spark":    spark,
		"percent1": func(v *float64) string { return fmt.Sprintf("%.1f %%", 100**v) },
	}
}

// scripts returns the addresses of entries; what they import comes by itself.
func (s *Site) scripts(names []string) []string {
	var urls []string
	for _, name := range names {
		if a, ok := s.urls[name]; ok {
			urls = append(urls, assetsPath+a.File)
		}
	}
	return urls
}

// clock returns seconds as 1:05.
func clock(seconds float64) string {
	n := int(math.Max(0, seconds))
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}

// percent returns a share of 0 … 100 with as many digits as it is worth: near 100
// the rest is what matters.
func percent(p float64) string {
	if p >= 99 && p < 100 {
		return strconv.FormatFloat(math.Floor(p*10)/10, 'f', 1, 64) + "\u00a0%"
	}
	return strconv.FormatFloat(math.Floor(p), 'f', 0, 64) + "\u00a0%"
}

// grouped returns a number with thin spaces between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// hours returns a length of time for people.
func hours(seconds float64) string {
	switch {
	case seconds < 90:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 90*60:
		return fmt.Sprintf("%.0f min", seconds/60)
	}
	return fmt.Sprintf("%.1f h", seconds/3600)
}

// size returns bytes for people.
func size(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if v >= 10 || unit == "B" {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func date(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2 Jan 2006")
}

// ago returns how long something is past.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s ago", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min ago", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h ago", d.Hours())
	}
	return fmt.Sprintf("%.0f days ago", d.Hours()/24)
}

// figure returns a number with three significant digits or so.
func figure(v any) string {
	var f float64
	switch x := v.(type) {
	case float64:
		f = x
	case *float64:
		if x == nil {
			return "–"
		}
		f = *x
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	switch a := math.Abs(f); {
	case a >= 1000:
		return grouped(int64(math.Round(f)))
	case a >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case a >= 0.01 || a == 0:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(f, 'g', 2, 64)
}
