package train

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestLogTooLarge refuses a log that would not be read to its end: openLog writes
// back what was read, so that the rest would be lost.
func TestLogTooLarge(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, metricsName)
	if err := os.WriteFile(path, (&Metrics{Step: 1}).appendJSON(nil), 0o644); err != nil {
		t.Fatal(err)
	}
	if all, err := ReadMetrics(dir); err != nil || len(all) != 1 {
		t.Fatalf("%d steps, %v", len(all), err)
	}
	if err := os.Truncate(path, maxMetricsBytes+1); err != nil { // sparse: takes no space
		t.Fatal(err)
	}
	if _, err := ReadMetrics(dir); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("error %v", err)
	}
}

// TestLine holds the line of every field to what encoding/json makes of it, so that
// a field that is added cannot be forgotten.
func TestLine(t *testing.T) {
	for _, scale := range []float64{1, 1e-300, 1e300, -1, 0, math.Pi} {
		m := Metrics{Step: 12345678}
		v := reflect.ValueOf(&m).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Float64 {
				f.SetFloat(scale * (float64(i) + .125))
			}
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(m.appendJSON(nil), &got); err != nil {
			t.Fatalf("%v: %s", err, m.appendJSON(nil))
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}
