package finetune

import (
	"math"
	"sync"

	"avjepa/internal/dataset"
	"avjepa/internal/metrics"
	"avjepa/internal/vit"
)

// Truth is which classes the clips of scores have.
type Truth struct {
	Labels *Labels
	of     [][]int // row → classes
}

// NewTruth returns the classes of clips of a set.
func NewTruth(l *Labels, set *dataset.Set, clips []int) *Truth {
	t := &Truth{Labels: l, of: make([][]int, len(clips))}
	for row, clip := range clips {
		t.of[row] = l.classesOf(set.Labels(clip))
		if !l.Multi && len(t.of[row]) > 1 {
			t.of[row] = t.of[row][:1]
		}
	}
	return t
}

// first returns every clip's first class: its only one, unless there may be several.
func (t *Truth) first() []int {
	all := make([]int, len(t.of))
	for i, c := range t.of {
		all[i] = c[0]
	}
	return all
}

// positives returns how many clips have each class.
func (t *Truth) positives() []int {
	n := make([]int, len(t.Labels.Classes))
	for _, classes := range t.of {
		for _, c := range classes {
			n[c]++
		}
	}
	return n
}

// quick measures what epochs are judged by.
func (t *Truth) quick(s *Scores) []Score {
	var all []Score
	for i := range s.Of {
		for _, h := range s.Of[i].Heads() {
			score := Score{Input: InputName(s.Of[i].Input), Head: h.Head}
			set := func(to **float64, x float64) {
				if !math.IsNaN(x) {
					*to = &x
				}
			}
			if classes := len(t.Labels.Classes); t.Labels.Multi {
				m, _ := macro(t.rankings(h.Logits, 1), nil)
				set(&score.MAP, m)
			} else {
				set(&score.Top1, metrics.TopK(h.Logits, t.first(), classes, 1))
				set(&score.Top5, metrics.TopK(h.Logits, t.first(), classes, 5))
			}
			all = append(all, score)
		}
	}
	return all
}

// rankings returns the order of the clips for every class. With one class a clip they
// are ordered by the logarithm of its probability, else by the logit.
func (t *Truth) rankings(logits []float32, workers int) []*metrics.Ranking {
	classes := len(t.Labels.Classes)
	n := len(t.of)
	shift := make([]float64, n) // log of the sum of exponentials
	if !t.Labels.Multi {
		for i := range shift {
			shift[i] = logSum(logits[i*classes : (i+1)*classes])
		}
	}
	has := make([][]int32, classes) // rows of a class
	for i, of := range t.of {
		for _, c := range of {
			has[c] = append(has[c], int32(i))
		}
	}
	all := make([]*metrics.Ranking, classes)
	each(classes, workers, func(c int) {
		if len(has[c]) == 0 {
			return // nothing is defined of it
		}
		scores, positive := make([]float32, n), make([]bool, n)
		for i := range scores {
			scores[i] = float32(float64(logits[i*classes+c]) - shift[i])
		}
		for _, i := range has[c] {
			positive[i] = true
		}
		all[c] = metrics.NewRanking(scores, positive)
	})
	return all
}

// each calls f for 0 to n−1, by so many goroutines.
func each(n, workers int, f func(i int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range max(1, workers) {
		group.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

func logSum(x []float32) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// macro returns the means of average precision and of the area under the ROC curve,
// each over the classes of which it is defined.
func macro(all []*metrics.Ranking, weights []int32) (ap, auc float64) {
	var sum, n [2]float64
	for _, r := range all {
		if r == nil {
			continue
		}
		a, b := r.Measure(weights)
		for i, x := range [2]float64{a, b} {
			if !math.IsNaN(x) {
				sum[i], n[i] = sum[i]+x, n[i]+1
			}
		}
	}
	return sum[0] / n[0], sum[1] / n[1]
}

// MeasureConfig says what Measure adds.
type MeasureConfig struct {
	Resamples int // of the clips, for intervals; 0 for none
	Seed      uint64
	Workers   int
	Names     []string // of classes, for people; nil for their IDs
	Confused  int      // pairs of classes
}

// Report is how good a network is.
type Report struct {
	Clips     int           `json:"clips"`
	Classes   int           `json:"classes"`
	Absent    int           `json:"absent_classes"` // no clip has them: not in mAP and AUC
	Multi     bool          `json:"multi_label"`
	Resamples int           `json:"resamples"` // behind the intervals of 95 %
	Results   []Result      `json:"results"`
	Confused  []Confusion   `json:"confused,omitempty"`
	PerClass  []ClassResult `json:"per_class,omitempty"`
}

// Result is how good a head is on an input. Shares are in [0, 1].
type Result struct {
	Input  string  `json:"input"`
	Head   string  `json:"head"`
	Top1   *Figure `json:"top1,omitempty"` // of one label a clip
	Top5   *Figure `json:"top5,omitempty"`
	MAP    *Figure `json:"map"`    // mean over classes of average precision
	AUC    *Figure `json:"auc"`    // mean over classes
	DPrime *Figure `json:"dprime"` // √2·Φ⁻¹ of that mean
}

// Figure is a number with its interval of 95 %, by resampling clips.
type Figure struct {
	Value float64     `json:"value"`
	CI    *[2]float64 `json:"ci,omitempty"`
}

// Confusion is how often clips of a class are taken for another.
type Confusion struct {
	Class string `json:"class"`
	Taken string `json:"taken_for"`
	Clips int    `json:"clips"`
	Of    int    `json:"of"` // clips of the class
}

// ClassResult is how good a head is on an input, for one class.
type ClassResult struct {
	Class     string   `json:"class"`
	Name      string   `json:"name"`
	Positives int      `json:"positives"`
	Input     string   `json:"input"`
	Head      string   `json:"head"`
	AP        *float64 `json:"ap,omitempty"`
	AUC       *float64 `json:"auc,omitempty"`
	Top1      *float64 `json:"top1,omitempty"` // of its clips
}

// Measures of a Result, in the order of their resamples.
const (
	atTop1 = iota
	atTop5
	atMAP
	atAUC
	atDPrime
	measures
)

// Measure returns how good scores are. Macro averages are over the classes that a clip
// has; with one label a clip classes are ranked by its probability, else by the logit.
func Measure(s *Scores, t *Truth, cfg MeasureConfig) *Report {
	r := &Report{Clips: len(t.of), Classes: len(t.Labels.Classes), Multi: t.Labels.Multi,
		Resamples: cfg.Resamples}
	for _, n := range t.positives() {
		if n == 0 {
			r.Absent++
		}
	}
	for i := range s.Of {
		for j, h := range s.Of[i].Heads() {
			ranked := t.rankings(h.Logits, cfg.Workers)
			r.Results = append(r.Results, t.measure(s.Of[i].Input, h, ranked, cfg))
			r.PerClass = append(r.PerClass, t.perClass(s.Of[i].Input, h, ranked, cfg)...)
			if i == 0 && j == 0 && !t.Labels.Multi {
				r.Confused = t.confused(h.Logits, cfg)
			}
		}
	}
	return r
}

// measure measures one head on one input.
func (t *Truth) measure(in vit.Modality, h NamedLogits, ranked []*metrics.Ranking,
	cfg MeasureConfig) Result {
	n, classes := len(t.of), len(t.Labels.Classes)
	var right [2][]bool // among the best 1 and 5
	if !t.Labels.Multi {
		first := t.first()
		for k, top := range [2]int{1, 5} {
			right[k] = make([]bool, n)
			for i := range n {
				row := h.Logits[i*classes : (i+1)*classes]
				right[k][i] = metrics.TopK(row, first[i:i+1], classes, top) == 1
			}
		}
	}
	all := func(weights []int32, out []float64) {
		for k := range right {
			out[atTop1+k] = weightedShare(right[k], weights)
		}
		out[atMAP], out[atAUC] = macro(ranked, weights)
		out[atDPrime] = metrics.DPrime(out[atAUC])
	}
	var value [measures]float64
	all(nil, value[:])
	var in95 []metrics.Interval
	if cfg.Resamples > 0 {
		in95 = metrics.Intervals(metrics.Bootstrap(n, cfg.Resamples, measures, cfg.Workers, cfg.Seed,
			all), measures)
	}
	figure := func(at int) *Figure {
		v := value[at]
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		f := &Figure{Value: v}
		if in95 != nil && finite(in95[at].Low) && finite(in95[at].High) {
			f.CI = &[2]float64{in95[at].Low, in95[at].High}
		}
		return f
	}
	return Result{Input: InputName(in), Head: h.Head, Top1: figure(atTop1), Top5: figure(atTop5),
		MAP: figure(atMAP), AUC: figure(atAUC), DPrime: figure(atDPrime)}
}

func finite(x float64) bool { return x-x == 0 }

// weightedShare returns the share of what is true, NaN of nothing.
func weightedShare(x []bool, weights []int32) float64 {
	sum, all := 0, 0
	for i, yes := range x {
		w := 1
		if weights != nil {
			w = int(weights[i])
		}
		all += w
		if yes {
			sum += w
		}
	}
	return float64(sum) / float64(all)
}

func (t *Truth) name(class int, names []string) string {
	if names != nil {
		return names[class]
	}
	return t.Labels.Classes[class]
}
