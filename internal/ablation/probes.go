package ablation

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ProbesName is the log of a run's online probes, a line an evaluation.
const ProbesName = "probes.jsonl"

// ProbePoint is one evaluation of online probes: shares of the clips, by what the encoder
// was given.
type ProbePoint struct {
	Step    int        `json:"step"`
	Epoch   float64    `json:"epoch"`
	Clips   int        `json:"clips"`
	Classes int        `json:"classes"`
	Both    Accuracies `json:"both"`
	Audio   Accuracies `json:"audio"`
	Video   Accuracies `json:"video"`
}

// Accuracies are those of the two heads; nil for a head that the run has not.
type Accuracies struct {
	LinearTop1    *float64 `json:"linear_top1"`
	LinearTop5    *float64 `json:"linear_top5"`
	AttentiveTop1 *float64 `json:"attentive_top1"`
	AttentiveTop5 *float64 `json:"attentive_top5"`
}

// Bounds on what ReadProbes reads.
const (
	maxProbesBytes = 64 << 20
	maxProbesLine  = 64 << 10
)

// ReadProbes returns the log of a run's online probes, nil for a run without. A last line
// cut short by a crash is left out.
func ReadProbes(dir string) ([]ProbePoint, error) {
	path := filepath.Join(dir, ProbesName)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() > maxProbesBytes {
		return nil, errors.Join(err, fmt.Errorf("ablation: %s: more than %d bytes, or no file", path,
			maxProbesBytes))
	}
	var all []ProbePoint
	var broken error
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxProbesLine)
	for line := 1; sc.Scan(); line++ {
		if broken != nil {
			return nil, broken
		}
		var p ProbePoint
		if err := json.Unmarshal(sc.Bytes(), &p); err != nil {
			broken = fmt.Errorf("ablation: %s line %d: %w", path, line, err)
			continue
		}
		all = append(all, p)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("ablation: %s: %w", path, err)
	}
	return all, nil
}
