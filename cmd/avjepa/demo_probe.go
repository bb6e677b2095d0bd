package main

import (
	"context"

	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/metrics"
	"avjepa/internal/probe"
	"avjepa/internal/report"
)

// probeSummary is the accuracy of linear probes on the frozen encoder.
type probeSummary struct {
	Classes int         `json:"classes"`
	Audio   probeResult `json:"audio"`
	Video   probeResult `json:"video"`
	Both    probeResult `json:"both"`
}

type probeResult struct {
	Top1 float64 `json:"top1"`
}

// probeClips is how many training clips the probes are fitted on.
const probeClips = 1200

// fitProbes fits linear probes on frozen embeddings of the run's training clips, one per
// modality, and tests them on the held-out ones. Unless each of these has one label there
// is none.
func fitProbes(ctx context.Context, ev *evaluation, p *progress) (*probeSummary, error) {
	classes := len(ev.set.Classes())
	if classes < 2 || ev.set.Where(oneLabel).Len() < ev.set.Len() {
		return nil, nil
	}
	set, err := openSplit(ctx, ev.run.cfg.Data.Dir, ev.run.cfg.Data.Split, p)
	if err != nil {
		return nil, err
	}
	set = everyNth(set, probeClips).Where(func(f *dataset.Info) bool {
		return oneLabel(f) && ev.set.Class(f.Labels[0]) >= 0
	})
	e, err := openEngine(ev.run.cfg)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	st := p.stage(ctx, "probe", int64(set.Len()), "clips")
	f, _, err := ev.run.embed(ctx, e, set, precisionFloat,
		embed.Config{Windows: ev.opts.windows, Both: true},
		func(n int) { st.set(int64(n), int64(set.Len()), "") })
	st.endWith(err)
	if err != nil {
		return nil, err
	}
	classOf := func(s *dataset.Set, index []int) []int {
		var out []int
		for _, i := range index {
			out = append(out, ev.set.Class(s.Info(i).Labels[0]))
		}
		return out
	}
	want, known := classOf(ev.set, ev.features.Index), classOf(set, f.Index)
	sum := &probeSummary{Classes: classes}
	for _, m := range []struct {
		to             *probeResult
		train, heldOut embed.Vectors
	}{{&sum.Audio, f.Audio, ev.features.Audio}, {&sum.Video, f.Video, ev.features.Video},
		{&sum.Both, f.Both, ev.features.Both}} {
		head, err := probe.Fit(e, probe.Default(), m.train.CLS, known, classes)
		if err != nil {
			return nil, err
		}
		m.to.Top1 = metrics.TopK(head.Scores(m.heldOut.CLS), want, classes, 1)
	}
	return sum, nil
}

func oneLabel(f *dataset.Info) bool { return len(f.Labels) == 1 }

func (d *demo) probeTable() *report.Table {
	s := d.sum.Probe
	if s == nil {
		return nil
	}
	return &report.Table{Title: "Linear probes on the frozen encoder",
		Read: "A linear layer fitted on embeddings of training clips names the kind of held-out ones.",
		Head: []string{"input", "top-1 %", "chance %"},
		Rows: [][]string{
			{"sound", percent(s.Audio.Top1), percent(1 / float64(s.Classes))},
			{"picture", percent(s.Video.Top1), percent(1 / float64(s.Classes))},
			{"both", percent(s.Both.Top1), percent(1 / float64(s.Classes))},
		}}
}

// everyNth returns at most n clips of a set, evenly spaced: keys are sorted by
// file.
func everyNth(set *dataset.Set, n int) *dataset.Set {
	total, i := set.Len(), -1
	return set.Where(func(*dataset.Info) bool {
		i++
		return total <= n || (i+1)*n/total != i*n/total
	})
}
