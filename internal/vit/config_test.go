package vit

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/nn"
)

func TestPaperGeometry(t *testing.T) {
	c := Default()
	if n := c.Tokens(); n != 1969 {
		t.Errorf("%d tokens, want 1969", n)
	}
	if n := paramCount(c); n != 86_637_312 {
		t.Errorf("%d parameters, want 86637312", n)
	}
}

func TestParamCountIsWhatIsRegistered(t *testing.T) {
	for _, size := range SizeNames() {
		for _, norms := range []bool{false, true} {
			c, err := Default().WithSize(size)
			if err != nil {
				t.Fatal(err)
			}
			c.EmbedNorm, c.FinalNorm = norms, norms
			ps := nn.NewParams()
			if _, err := New(ps, "encoder", c); err != nil {
				t.Fatal(err)
			}
			if ps.Count() != paramCount(c) {
				t.Errorf("%s: %d registered, %d counted", size, ps.Count(), paramCount(c))
			}
		}
	}
	if _, err := Default().WithSize("huge"); err == nil {
		t.Error("size huge is known")
	}
}

// paramCount is the number of trained values by the formulas of the layers.
func paramCount(c Config) int {
	d, h := c.Width, c.hidden()
	vt, vs := c.videoGrid()
	af, at := c.audioGrid()
	n := d * (1 + vt + vs + af + at + 2)                   // CLS, positions, types
	n += d*(c.tubelet()+1) + d*(c.audioPatch()+1)          // patch embeddings
	n += c.Depth * (4*d*(d+1) + h*(d+1) + d*(h+1) + 2*2*d) // blocks
	for _, norm := range []bool{c.EmbedNorm, c.FinalNorm} {
		if norm {
			n += 2 * d
		}
	}
	return n
}

func TestValidateListsEveryFault(t *testing.T) {
	c := Default()
	c.Side, c.Heads, c.Frames, c.MelFrames = 225, 7, 15, 8
	c.MelBands, c.Dropout, c.AttentionDropout, c.InitStd = 100, 1, math.NaN(), -1
	c.Depth, c.MLPRatio = 0, 0
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 10 {
		t.Errorf("%d faults, want 10:\n%v", n, err)
	}
	if want := "vit: image height 225 is not a multiple of patch size 16"; !strings.Contains(
		err.Error(), want) {
		t.Errorf("%q is not among\n%v", want, err)
	}
}
