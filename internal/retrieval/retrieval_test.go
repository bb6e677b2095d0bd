package retrieval

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// goldenSet is one case of testdata/golden/metrics.json.
type goldenSet struct {
	Audio   [][]float64        `json:"audio"`
	Video   [][]float64        `json:"video"`
	Metrics map[string]float64 `json:"metrics"`
	Centred map[string]float64 `json:"metrics_centered"`
	RankA2V []int              `json:"rank_a2v"`
	RankV2A []int              `json:"rank_v2a"`
	Median  map[string]float64 `json:"median_rank_mean_of_middles"`
}

func flat(rows [][]float64) ([]float32, int, int) {
	var out []float32
	for _, r := range rows {
		for _, v := range r {
			out = append(out, float32(v))
		}
	}
	return out, len(rows), len(rows[0])
}

// compare holds one direction to the published figures, which are in percent.
func compare(t *testing.T, name string, d Direction, want map[string]float64) {
	t.Helper()
	for key, got := range map[string]float64{
		"R@1": 100 * d.R1, "R@5": 100 * d.R5, "R@10": 100 * d.R10, "mean_rank": d.Mean,
	} {
		w, ok := want[name+"_"+key]
		if !ok {
			t.Fatalf("golden file has no %s_%s", name, key)
		}
		if !(math.Abs(got-w) <= 1e-4) {
			t.Errorf("%s %s = %v, want %v", name, key, got, w)
		}
	}
}

func TestGolden(t *testing.T) {
	text, err := os.ReadFile("../../testdata/golden/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"retrieval", "retrieval_ties"} {
		t.Run(name, func(t *testing.T) {
			var g goldenSet
			if err := json.Unmarshal(all[name], &g); err != nil {
				t.Fatal(err)
			}
			audio, n, d := flat(g.Audio)
			video, _, _ := flat(g.Video)
			m := Measure(audio, video, n, d)
			compare(t, "a2v", m.A2V, g.Metrics)
			compare(t, "v2a", m.V2A, g.Metrics)
			if m.A2V.Median != g.Median["a2v"] || m.V2A.Median != g.Median["v2a"] {
				t.Errorf("medians %v, %v; want %v", m.A2V.Median, m.V2A.Median, g.Median)
			}
			for i, r := range Ranks(Similarities(audio, video, n, d), n) {
				if r != g.RankA2V[i] {
					t.Errorf("rank of query %d is %d, want %d", i, r, g.RankA2V[i])
				}
			}
			for i, r := range Ranks(Similarities(video, audio, n, d), n) {
				if r != g.RankV2A[i] {
					t.Errorf("V→A rank of query %d is %d, want %d", i, r, g.RankV2A[i])
				}
			}
			if g.Centred == nil {
				return
			}
			audio, _, _ = flat(g.Audio)
			video, _, _ = flat(g.Video)
			Center(audio, n, d)
			Center(video, n, d)
			m = Measure(audio, video, n, d)
			compare(t, "a2v", m.A2V, g.Centred)
			compare(t, "v2a", m.V2A, g.Centred)
		})
	}
}

func TestNaNIsNoHit(t *testing.T) {
	nan := float32(math.NaN())
	sim := []float32{nan, 0, 0, 0, nan, 0.5, 0.1, 0.2, 0.9}
	want := []int{3, 3, 1}
	for i, r := range Ranks(sim, 3) {
		if r != want[i] {
			t.Errorf("rank %d = %d, want %d", i, r, want[i])
		}
	}
}

func TestNearestAndChance(t *testing.T) {
	sim := []float32{0.1, 0.9, 0.5, 0, 0, 0, 1, 2, 3}
	got := Nearest(sim, 3, 0, 2)
	if got[0] != 1 || got[1] != 2 {
		t.Errorf("nearest %v", got)
	}
	if c := Chance(200); c.R1 != 0.005 || c.R10 != 0.05 || c.Median != 100.5 {
		t.Errorf("chance %+v", c)
	}
}
