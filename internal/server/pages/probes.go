package pages

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// maxProbeRows bounds the table of evaluations; the last ones are shown.
const maxProbeRows = 50

// probeTable makes a table of evaluations, newest first: of every line the numbers,
// also those within objects, under their names.
func probeTable(lines []json.RawMessage) (head []string, rows [][]string) {
	var all []map[string]float64
	names := map[string]bool{}
	for _, line := range lines[max(0, len(lines)-maxProbeRows):] {
		var v map[string]any
		if json.Unmarshal(line, &v) != nil {
			continue
		}
		flat := map[string]float64{}
		flatten("", v, flat, 0)
		for name := range flat {
			names[name] = true
		}
		all = append(all, flat)
	}
	head = slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		first := func(s string) int { return slices.Index([]string{"epoch", "step"}, s) }
		if d := first(b) - first(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if len(head) > 14 {
		head = head[:14]
	}
	for _, flat := range slices.Backward(all) {
		row := make([]string, len(head))
		for i, name := range head {
			row[i] = "–"
			if v, ok := flat[name]; ok {
				row[i] = figure(v)
			}
		}
		rows = append(rows, row)
	}
	return head, rows
}

func flatten(prefix string, v map[string]any, out map[string]float64, depth int) {
	for name, x := range v {
		switch x := x.(type) {
		case float64:
			out[prefix+name] = x
		case map[string]any:
			if depth < 3 {
				flatten(prefix+name+" ", x, out, depth+1)
			}
		}
	}
}
