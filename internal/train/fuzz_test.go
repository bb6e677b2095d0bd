package train

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

// FuzzMetrics: a log that is refused names the line; one that is read has no more
// steps than lines, and comes back the same after it has been written again, which
// is what a run does that goes on.
func FuzzMetrics(f *testing.F) {
	m := Metrics{Step: 3, Epoch: 0.5, Total: 1e-300, LR: 5e-324, Seconds: 1e300,
		GradNorm: math.Copysign(0, -1)}
	line := m.appendJSON(nil)
	f.Add(slices.Concat(line, line, line[:40]))
	f.Add([]byte("{\"step\":-1,\"STEP\":2}\nnull\n\n{}\n"))
	f.Add([]byte("{\"total\":1e999}\n{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := readLines[Metrics](bytes.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(all) > bytes.Count(text, []byte("\n"))+1 {
			t.Fatalf("%d steps of %q", len(all), text)
		}
		var again []byte
		for i := range all {
			again = all[i].appendJSON(again)
		}
		back, err := readLines[Metrics](bytes.NewReader(again))
		if err != nil || !slices.Equal(all, back) {
			t.Fatalf("%+v is written as %s and read as %+v, %v", all, again, back, err)
		}
	})
}
