package finetune

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"avjepa/internal/engine/ref"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/rng"
	"avjepa/internal/vit"
)

// goldenScores are what scikit-learn and the published code say of some scores.
type goldenScores struct {
	Scores  [][]float32 `json:"scores"`
	Labels  [][]float64 `json:"labels"`
	AP      []*float64  `json:"ap"`
	Present float64     `json:"map_present_classes"`
	MeanAUC float64     `json:"mean_auc"`
	OfMean  float64     `json:"dprime_of_mean_auc"`
}

func readGolden(t *testing.T, to any) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/golden/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

func classNames(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("c%d", i)
	}
	return all
}

func nearly(t *testing.T, what string, got *Figure, want float64) {
	t.Helper()
	if got == nil || !(math.Abs(got.Value-want) <= 1e-6) {
		t.Errorf("%s is %+v, want %v", what, got, want)
	}
}

// TestGoldenMultiLabel holds the report of clips with several classes to published
// figures; classes without a clip are left out and counted.
func TestGoldenMultiLabel(t *testing.T) {
	var g map[string]json.RawMessage
	readGolden(t, &g)
	for name, absent := range map[string]int{"multi_label": 0, "multi_label_ties": 0,
		"multi_label_missing_class": 2} {
		var m goldenScores
		if err := json.Unmarshal(g[name], &m); err != nil {
			t.Fatal(err)
		}
		truth := &Truth{Labels: NewLabels(classNames(len(m.AP)), true)}
		for _, row := range m.Labels {
			var of []int
			for c, y := range row {
				if y > 0 {
					of = append(of, c)
				}
			}
			truth.of = append(truth.of, of)
		}
		s := &Scores{Of: []Logits{{Input: vit.AudioOnly, Linear: flat(m.Scores)}}}
		r := Measure(s, truth, MeasureConfig{Resamples: 200, Workers: 2})
		x := r.Results[0]
		nearly(t, name+": mAP", x.MAP, m.Present)
		nearly(t, name+": AUC", x.AUC, m.MeanAUC)
		nearly(t, name+": d′", x.DPrime, m.OfMean)
		if r.Absent != absent || r.Clips != 60 || x.Input != "audio" || x.Head != "linear" || x.Top1 != nil {
			t.Errorf("%s: %+v", name, r)
		}
		if ci := x.AUC.CI; ci == nil || !(ci[0] < m.MeanAUC && m.MeanAUC < ci[1]) {
			t.Errorf("%s: interval %v of %v", name, ci, m.MeanAUC)
		}
		for c, p := range r.PerClass {
			if want := m.AP[c]; p.Positives > 0 && !(math.Abs(*p.AP-*want) <= 1e-6) {
				t.Errorf("%s: AP %v of class %d, want %v", name, *p.AP, c, *want)
			}
		}
		quick := truth.quick(s)
		if !(math.Abs(*quick[0].MAP-m.Present) <= 1e-6) {
			t.Errorf("%s: mAP of an epoch %v", name, *quick[0].MAP)
		}
		again := Measure(s, truth, MeasureConfig{Resamples: 200, Workers: 1})
		if *again.Results[0].MAP.CI != *x.MAP.CI {
			t.Errorf("%s: intervals %v and %v of one seed", name, again.Results[0].MAP.CI, x.MAP.CI)
		}
	}
}

// TestGoldenSingleLabel holds top-1 and top-5, and the mean over windows, to PyTorch's.
func TestGoldenSingleLabel(t *testing.T) {
	var g struct {
		Single struct {
			Logits [][]float32 `json:"logits"`
			Labels []int       `json:"labels"`
			Top1   float64     `json:"top1"`
			Top5   float64     `json:"top5"`
		} `json:"single_label"`
		Clips struct {
			Logits [][][]float32 `json:"logits"`
			Mean   [][]float32   `json:"mean"`
		} `json:"multi_clip"`
	}
	readGolden(t, &g)
	truth := &Truth{Labels: NewLabels(classNames(len(g.Single.Logits[0])), false)}
	for _, l := range g.Single.Labels {
		truth.of = append(truth.of, []int{l})
	}
	logits := flat(g.Single.Logits)
	s := &Scores{Of: []Logits{{Linear: logits, Attentive: logits}}}
	r := Measure(s, truth, MeasureConfig{Resamples: 500, Workers: 2, Confused: 3})
	if len(r.Results) != 2 || r.Results[0].Head != "attentive" {
		t.Fatalf("results %+v", r.Results)
	}
	for _, x := range r.Results {
		nearly(t, "top-1", x.Top1, g.Single.Top1)
		nearly(t, "top-5", x.Top5, g.Single.Top5)
		if ci := x.Top1.CI; !(ci[0] < g.Single.Top1 && g.Single.Top1 < ci[1]) {
			t.Errorf("interval %v", ci)
		}
	}
	wrong := 0
	for _, c := range truth.confused(logits, MeasureConfig{Confused: 1000}) {
		wrong += c.Clips
	}
	if want := int(math.Round((1 - g.Single.Top1) * 40)); wrong != want {
		t.Errorf("%d clips are confused, want %d", wrong, want)
	}
	var windows []float32
	for _, clip := range g.Clips.Logits {
		windows = append(windows, flat(clip)...)
	}
	per, classes := len(g.Clips.Logits[0]), len(g.Clips.Mean[0])
	for i, v := range appendMeans(nil, windows, per, classes) {
		if want := flat(g.Clips.Mean)[i]; !(math.Abs(float64(v-want)) <= 1e-6) {
			t.Errorf("mean %d over windows is %v, want %v", i, v, want)
		}
	}
}

// TestScore scores every clip once, whatever cannot be read, with as many windows as are
// asked for; kept features give the same.
func TestScore(t *testing.T) {
	v := smallView()
	m := smallModel(v)
	data := smallData(t, v, func(clip int, c *media.Clip) {
		if clip == 4 {
			c.Frames[1] = c.Frames[1][:40]
		}
	})
	e := newEngine(t)
	n, err := New(e, m, 4, Scoring)
	if err != nil {
		t.Fatal(err)
	}
	n.Backbone.Init(1)
	n.Init(1)
	inputs := Inputs(vit.Both)
	ctx := context.Background()
	one, err := n.Score(ctx, data.Train, ScoreConfig{Windows: 1, Modalities: inputs}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []int{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	if !slices.Equal(one.Clips, want) || len(one.Skipped) != 1 || len(one.Of[2].Linear) != 16*3 {
		t.Errorf("clips %v, skipped %v", one.Clips, one.Skipped)
	}
	k, err := n.keep(ctx, data.Train, inputs, 1, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := k.score(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range one.Of {
		if !slices.Equal(kept.Of[i].Linear, one.Of[i].Linear) ||
			!slices.Equal(kept.Of[i].Attentive, one.Of[i].Attentive) {
			t.Errorf("input %v: kept features give other logits", one.Of[i].Input)
		}
	}
	three, err := n.Score(ctx, data.Train, ScoreConfig{Windows: 3, Workers: 2, Modalities: inputs}, nil)
	if err != nil || !slices.Equal(three.Clips, want) {
		t.Fatalf("clips %v, %v", three.Clips, err)
	}
	if slices.Equal(three.Of[0].Linear, one.Of[0].Linear) {
		t.Error("three windows give what one does")
	}
	if _, err := n.Score(ctx, data.Train, ScoreConfig{Windows: 5, Modalities: inputs}, nil); err == nil {
		t.Error("more windows than views at once are accepted")
	}
}

// TestSurvivingTokens: of one modality the attentive head sees that one's tokens alone,
// whatever the absent one's are.
func TestSurvivingTokens(t *testing.T) {
	m := tinyModel()
	video, audio, _ := inputs(m, 2)
	e := ref.New()
	n := newTiny(t, e, m, 2, Scoring)
	n.upload(2, video, audio)
	for in, tokens := range map[vit.Modality]int{vit.Both: 12, vit.AudioOnly: 4, vit.VideoOnly: 8} {
		n.logits(2, in)
		if got := n.features.tokens.Dim(1); got != tokens {
			t.Errorf("%s: %d tokens, want %d", InputName(in), got, tokens)
		}
	}
	_, z := n.Logits(nil, audio, 2, vit.AudioOnly)
	before := slices.Clone(z)
	rng.New(1).Shuffle(len(video), func(i, j int) { video[i], video[j] = video[j], video[i] })
	if _, z := n.Logits(video, audio, 2, vit.AudioOnly); !slices.Equal(z, before) {
		t.Error("the absent picture changes the score of the sound")
	}
}

// TestLabels maps labels of another set to the heads' classes, by ID and by name.
func TestLabels(t *testing.T) {
	l := NewLabels([]string{"b", "a"}, true)
	row := make([]float32, 2)
	l.set(row, []string{"a", "x", "b"})
	if row[0] != 1 || row[1] != 1 {
		t.Errorf("targets %v", row)
	}
	l.Multi = false
	l.set(row, []string{"x", "a", "b"})
	if row[0] != 0 || row[1] != 1 {
		t.Errorf("targets %v of the first known label alone", row)
	}
	l = NewLabels([]string{"Dog", "/m/1"}, false).Named([]manifest.Class{{ID: "/m/0", Name: "Dog"},
		{ID: "/m/1", Name: "Dog"}})
	if of := l.classesOf([]string{"/m/0", "/m/1", "/m/2"}); !slices.Equal(of, []int{0, 1}) {
		t.Errorf("classes %v: a name counts where the ID is unknown", of)
	}
}

// BenchmarkBootstrap resamples a test set as large as VGGSound's, for one head and input.
func BenchmarkBootstrap(b *testing.B) {
	const n, classes = 15446, 309
	truth := &Truth{Labels: NewLabels(classNames(classes), false)}
	r := rng.New(1)
	logits := make([]float32, n*classes)
	r.FillNormal(logits, 1)
	for range n {
		truth.of = append(truth.of, []int{r.IntN(classes)})
	}
	s := &Scores{Of: []Logits{{Linear: logits}}}
	for _, resamples := range []int{0, 100} {
		b.Run(fmt.Sprint(resamples), func(b *testing.B) {
			for b.Loop() {
				Measure(s, truth, MeasureConfig{Resamples: resamples, Workers: 1})
			}
		})
	}
}
