package nn

import (
	"testing"

	"avjepa/internal/engine"
)

// TestBlockTypes: what a block keeps has the arena's compute type but for the
// residual stream and LSE, in both forwards, and backward gives back what it takes.
func TestBlockTypes(t *testing.T) {
	e := engine.NewCounting()
	for _, compute := range []engine.DType{engine.F32, engine.BF16} {
		size := engine.ArenaSize{F32: 1 << 16}
		if compute == engine.BF16 {
			size.BF16 = 1 << 16
		}
		arena, err := engine.NewArena(e, compute, size)
		if err != nil {
			t.Fatal(err)
		}
		ps := NewParams()
		b := NewBlock(ps, "blocks", 0, BlockConfig{Width: 8, Heads: 2, Hidden: 16, Dropout: 0.1,
			AttentionDropout: 0.1})
		if err := ps.Build(e, WithGradients); err != nil {
			t.Fatal(err)
		}
		cx := &Context{Engine: e, Arena: arena, Train: true}
		for _, clsOnly := range []bool{false, true} {
			x, y, dx := arena.New(3, 5, 8), arena.New(3, 5, 8), arena.New(3, 5, 8)
			var c BlockCache
			if clsOnly {
				y = arena.New(3, 1, 8)
				b.ForwardCLS(cx, &c, y, x)
			} else {
				b.Forward(cx, &c, y, x)
			}
			for name, k := range map[string]struct {
				x    engine.Tensor
				want engine.DType
			}{
				"X": {c.X, engine.F32}, "LSE": {c.LSE, engine.F32}, "Mid": {c.Mid, engine.F32},
				"Y": {c.Y, engine.F32}, "QKV": {c.QKV, compute}, "Attn": {c.Attn, compute},
				"Pre": {c.Pre, compute}, "Q": {c.Q, compute},
			} {
				if k.x.Nil() != (name == "Q" && !clsOnly) {
					t.Errorf("compute type %v, CLS only %v: %s is %v", compute, clsOnly, name, k.x)
				} else if !k.x.Nil() && k.x.DType() != k.want {
					t.Errorf("compute type %v, CLS only %v: %s is %v, want %v", compute, clsOnly, name,
						k.x, k.want)
				}
			}
			mark := arena.Mark()
			if clsOnly {
				b.BackwardCLS(cx, &c, dx, arena.New(3, 1, 8))
				arena.Release(mark)
			} else {
				b.Backward(cx, &c, dx)
			}
			if arena.Mark() != mark {
				t.Errorf("compute type %v, CLS only %v: backward keeps memory", compute, clsOnly)
			}
			arena.Release(engine.Mark{})
		}
		if ps.Values.DType() != engine.F32 ||
			ps.Grads.DType() != engine.F32 {
			t.Errorf("compute type %v: parameters %v, gradients %v", compute, ps.Values, ps.Grads)
		}
	}
}
