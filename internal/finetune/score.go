package finetune

import (
	"context"
	"fmt"

	"avjepa/internal/embed"
	"avjepa/internal/loader"
	"avjepa/internal/vit"
)

// ScoreConfig says how clips are scored.
type ScoreConfig struct {
	Windows    int // of a clip, on an even grid; their logits are averaged
	Workers    int // goroutines that read and decode clips ahead; 0 means 1
	Modalities []vit.Modality
}

// Inputs returns what a network that was trained on a modality is judged by: of both
// also each alone.
func Inputs(m vit.Modality) []vit.Modality {
	if m == vit.Both {
		return []vit.Modality{vit.Both, vit.AudioOnly, vit.VideoOnly}
	}
	return []vit.Modality{m}
}

// InputName returns what a modality is called in results: both, audio or video.
func InputName(m vit.Modality) string { return [...]string{"both", "audio", "video"}[m] }

// Scores are the logits of clips under several inputs.
type Scores struct {
	Clips   []int            // row → clip of the set, every one once
	Skipped map[string]error // clips that could not be read, by key
	Of      []Logits         // by ScoreConfig.Modalities
}

// Logits are those of one input.
type Logits struct {
	Input             vit.Modality
	Linear, Attentive []float32 // (n, C); Attentive is nil without that head
}

// Heads returns the logits by head, the attentive one first.
func (l *Logits) Heads() []NamedLogits {
	all := []NamedLogits{{"linear", l.Linear}}
	if l.Attentive != nil {
		all = []NamedLogits{{"attentive", l.Attentive}, all[0]}
	}
	return all
}

// NamedLogits are those of one head.
type NamedLogits struct {
	Head   string
	Logits []float32 // (n, C)
}

// Score scores every clip once, in one process. done is called with the number of
// clips finished. The other input of one modality is zeroed, and the attentive head sees
// its tokens alone.
func (n *Network) Score(ctx context.Context, clips *loader.Clips, cfg ScoreConfig,
	done func(n int)) (*Scores, error) {
	s := &Scores{Skipped: map[string]error{}, Of: make([]Logits, len(cfg.Modalities))}
	for i, m := range cfg.Modalities {
		s.Of[i].Input = m
	}
	w := newWindows(n, clips, cfg.Windows)
	err := w.each(ctx, cfg.Workers, done, s.Skipped, func(taken []int) error {
		for i := range s.Of {
			linear, attentive := n.logits(len(taken)*w.per, s.Of[i].Input)
			s.Of[i].Linear = appendMeans(s.Of[i].Linear, linear, w.per, n.Classes)
			s.Of[i].Attentive = appendMeans(s.Of[i].Attentive, attentive, w.per, n.Classes)
		}
		s.Clips = append(s.Clips, taken...)
		return n.engine.Sync()
	})
	if err != nil {
		return nil, err
	}
	if len(s.Clips) == 0 {
		return nil, fmt.Errorf("finetune: none of the %d clips can be read", clips.Set.Len())
	}
	return s, nil
}

// appendMeans appends the means over each clip's windows of x (n·windows, C).
func appendMeans(to, x []float32, windows, classes int) []float32 {
	for at := 0; at < len(x); at += windows * classes {
		for c := range classes {
			sum := 0.0
			for w := range windows {
				sum += float64(x[at+w*classes+c])
			}
			to = append(to, float32(sum/float64(windows)))
		}
	}
	return to
}

// windows brings the evaluation windows of clips to the device, as many as fit.
type windows struct {
	net   *Network
	clips *loader.Clips
	per   int // of a clip
	video []byte
	audio []float32
	taken []int // clips that wait
}

func newWindows(n *Network, clips *loader.Clips, per int) *windows {
	v := clips.Maker.Config()
	return &windows{net: n, clips: clips, per: per,
		video: make([]byte, 0, n.views*v.VideoElems()), audio: make([]float32, 0, n.views*v.AudioElems())}
}

// each uploads windows of clips in order, and calls use with the clips of every device
// batch.
func (w *windows) each(ctx context.Context, workers int, done func(n int),
	skipped map[string]error, use func(taken []int) error) error {
	if w.per < 1 || w.per > w.net.views {
		return fmt.Errorf("finetune: %d windows of a clip must be 1 to %d, the views run at once",
			w.per, w.net.views)
	}
	flush := func() error {
		if len(w.taken) == 0 {
			return nil
		}
		w.net.upload(len(w.taken)*w.per, w.video, w.audio)
		err := use(w.taken)
		w.video, w.audio, w.taken = w.video[:0], w.audio[:0], w.taken[:0]
		return err
	}
	cfg := embed.Config{Views: w.net.views, Windows: w.per, Workers: workers}
	err := embed.Windows(ctx, w.clips, cfg, 0, w.clips.Set.Len(), func(m embed.Made) error {
		if m.Err != nil {
			skipped[w.clips.Set.Key(m.Clip)] = m.Err
		} else {
			w.video, w.audio = append(w.video, m.Video...), append(w.audio, m.Audio...)
			w.taken = append(w.taken, m.Clip)
		}
		var err error
		if (len(w.taken)+1)*w.per > w.net.views {
			err = flush()
		}
		if done != nil {
			done(m.Clip + 1)
		}
		return err
	})
	if err != nil {
		return err
	}
	return flush()
}
