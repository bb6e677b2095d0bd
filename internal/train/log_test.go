package train

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

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
