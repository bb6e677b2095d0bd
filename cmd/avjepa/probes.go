package main

import (
	"fmt"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/loader"
	"avjepa/internal/train"
)

// onlineProbes returns the online probes of a run on a set, nil when there are to be
// none. Held-out clips are decoded anew for every evaluation: memory is for those that
// are trained on.
func onlineProbes(c *config.Config, set *dataset.Set) (*train.Probes, error) {
	if !c.Probe.Online {
		return nil, nil
	}
	classes, several, err := train.Labels(set)
	if err != nil {
		return nil, err
	}
	held, err := selectSplit(set.All(), c.Data.Dir, c.ProbeSplit())
	if err != nil {
		return nil, fmt.Errorf("clips to evaluate online probes on: %w; probe.split chooses others", err)
	}
	clips, err := newClips(c, held)
	if err != nil {
		return nil, err
	}
	return &train.Probes{OnlineConfig: c.OnlineConfig(classes, several), LR: c.Probe.LR,
		Every: c.Probe.Every, Clips: c.Probe.Clips,
		HeldOut: loader.NewClips(held, clips.Maker, 0)}, nil
}

// probeNews is what a line of progress says of an evaluation.
func probeNews(l *train.ProbeLog) string {
	s := l.Both
	if x := s.Linear(); x == nil {
		return ""
	} else if y := s.Attentive(); y != nil {
		return fmt.Sprintf(" · probes %.0f and %.0f %%", 100**x, 100**y)
	} else {
		return fmt.Sprintf(" · probe %.0f %%", 100**x)
	}
}

// probeSentence is an evaluation in a sentence.
func probeSentence(l *train.ProbeLog) string {
	what, of := "top-1", ""
	if l.Both.LinearMAP != nil {
		what = "mAP"
	}
	for i, head := range []func(train.ProbeScores) *float64{train.ProbeScores.Linear,
		train.ProbeScores.Attentive} {
		both, audio, video := head(l.Both), head(l.Audio), head(l.Video)
		if both == nil || audio == nil || video == nil {
			continue
		}
		of += fmt.Sprintf(", %s %s %% (sound alone %s %%, picture alone %s %%)",
			[]string{"linear", "attentive"}[i], percent(*both), percent(*audio), percent(*video))
	}
	return fmt.Sprintf("online probes after step %d, %s of %d held-out clips, %d classes%s",
		l.Step, what, l.Clips, l.Classes, of)
}
