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
	if n := c.ParamCount(); n != 86_637_312 {
		t.Errorf("%d parameters, want 86637312", n)
	}
	blocks, patches := c.FLOPs(true, true)
	n, d := 1969.0, 768.0
	if want := 12 * (4*n*n*d + 24*n*d*d); blocks != want {
		t.Errorf("blocks take %g FLOPs, want %g", blocks, want)
	}
	if want := 2 * d * (1568*1536 + 400*256); patches != want {
		t.Errorf("patches take %g FLOPs, want %g", patches, want)
	}
	zeroed, _ := c.FLOPs(false, true)
	c.DropAbsent = true
	dropped, _ := c.FLOPs(false, true)
	if zeroed != blocks || !(dropped < blocks/4) {
		t.Errorf("audio only takes %g FLOPs, dropped %g, of %g", zeroed, dropped, blocks)
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
			if ps.Count() != c.ParamCount() {
				t.Errorf("%s: %d registered, %d counted", size, ps.Count(), c.ParamCount())
			}
		}
	}
	if _, err := Default().WithSize("huge"); err == nil {
		t.Error("size huge is known")
	}
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
