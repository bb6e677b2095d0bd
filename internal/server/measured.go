package server

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"avjepa/internal/ablation"
	"avjepa/internal/report"
	"avjepa/internal/retrieval"
	"avjepa/internal/train"
)

// probeTop is what a summary says of probes.
type probeTop struct {
	Classes            int
	Audio, Video, Both *struct{ Top1 *float64 }
}

// measuredOf returns what files of a run say that was measured of a checkpoint after a step:
// the summary of a demo and the result of an ablation, which are of the last step; online
// probes and samples, which are of each.
func measuredOf(dir *os.Root, step int, file string) []Figure {
	out := []Figure{}
	add := func(name string, value *float64, chance float64, clips int, command string, made time.Time) {
		if value == nil || !(*value >= 0) {
			return
		}
		f := Figure{Name: name, Value: *value, Clips: clips, Command: command, Made: made}
		if chance > 0 {
			f.Chance = &chance
		}
		out = append(out, f)
	}
	for _, from := range []struct{ file, command string }{{"summary.json", "avjepa demo"},
		{ablation.ResultName, "avjepa ablate"}} {
		var sum struct {
			Steps     int
			Pretrain  struct{ Steps int }
			Retrieval *retrieval.Metrics
			Probe     *probeTop
		}
		made, ok := readJSON(dir, from.file, &sum)
		if !ok || max(sum.Steps, sum.Pretrain.Steps) != step {
			continue
		}
		if r := sum.Retrieval; r != nil && r.N > 0 {
			chance := retrieval.Chance(r.N)
			add("A→V R@1", &r.A2V.R1, chance.R1, r.N, from.command, made)
			add("V→A R@1", &r.V2A.R1, chance.R1, r.N, from.command, made)
			add("A→V R@10", &r.A2V.R10, chance.R10, r.N, from.command, made)
			add("V→A R@10", &r.V2A.R10, chance.R10, r.N, from.command, made)
		}
		if p := sum.Probe; p != nil && p.Classes > 0 {
			for _, x := range []struct {
				name string
				top  *struct{ Top1 *float64 }
			}{{"linear probe, sound alone", p.Audio}, {"linear probe, picture alone", p.Video},
				{"linear probe, both", p.Both}} {
				if x.top != nil {
					add(x.name, x.top.Top1, 1/float64(p.Classes), 0, from.command, made)
				}
			}
		}
	}
	if lines, made, ok := probeLines(dir); ok {
		for _, line := range lines {
			var l train.ProbeLog
			if json.Unmarshal(line, &l) != nil || l.Step != step {
				continue
			}
			for _, x := range []struct {
				name string
				s    train.ProbeScores
			}{{"sound alone", l.Audio}, {"picture alone", l.Video}, {"both", l.Both}} {
				add("online linear probe, "+x.name, x.s.Linear(), 0, l.Clips, "avjepa pretrain", made)
				add("online attentive probe, "+x.name, x.s.Attentive(), 0, l.Clips, "avjepa pretrain", made)
			}
		}
	}
	var s report.Samples
	if made, ok := readJSON(dir, report.SamplesName(step), &s); ok && s.Valid() && len(s.Clips) > 1 && file != train.BestName {
		n := len(s.Clips)
		for i, all := range [][]report.Sample{s.A2V, s.V2A} {
			share := float64(report.First(all)) / float64(n)
			add(fmt.Sprintf("%s R@1 among %d samples", []string{"A→V", "V→A"}[i], n), &share, 1/float64(n), n, "avjepa pretrain", made)
		}
	}
	return out
}

// readJSON reads a small file of a run and says when it was written.
func readJSON(dir *os.Root, name string, v any) (made time.Time, ok bool) {
	text, err := readSmall(dir, name, 4<<20)
	if err != nil || json.Unmarshal(text, v) != nil {
		return made, false
	}
	if info, err := dir.Stat(name); err == nil {
		made = info.ModTime().UTC()
	}
	return made, true
}
