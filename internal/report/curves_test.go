package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/train"
)

func TestWriteCurves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "figures")
	log := []train.Metrics{
		{Step: 1, Total: 2, Invariance: 1, SIGReg: 9, Std: 0.4, GradNorm: 3},
		{Step: 2, Total: 1, Invariance: 0.5, SIGReg: 4, Std: 0.8, GradNorm: 2},
	}
	if err := WriteCurves(dir, log, 0.05); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loss", "parts", "std", "gradient"} {
		for _, theme := range []string{"light", "dark"} {
			text, err := os.ReadFile(filepath.Join(dir, name+"-"+theme+".svg"))
			if err != nil {
				t.Error(err)
			} else if !strings.Contains(string(text), "<svg") {
				t.Errorf("%s-%s.svg is no SVG", name, theme)
			}
		}
	}
}
