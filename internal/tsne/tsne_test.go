package tsne

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"avjepa/internal/kernel"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// groups returns n points in as many groups of normal points, and each one's group.
func groups(n, d, many int) (tensor.Array, []int) {
	r := rng.New(7, "groups")
	at := make([]float32, many*d)
	r.FillNormal(at, 4)
	x, of := make([]float32, n*d), make([]int, n)
	for i := range n {
		of[i] = i % many
		for j := range d {
			x[i*d+j] = at[of[i]*d+j] + float32(r.NormFloat64()) + 100
		}
	}
	return tensor.From(x, n, d), of
}

// TestGradient compares the forces with differences of the divergence, and those of the
// tree with those of all pairs.
func TestGradient(t *testing.T) {
	x, _ := groups(200, 5, 4)
	pool := kernel.NewPool(2)
	defer pool.Close()
	p, err := similarities(context.Background(), pool, x, 10)
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, v := range p.value {
		total += v
	}
	if !(math.Abs(total-1) <= 1e-9) {
		t.Fatalf("probabilities sum to %g", total)
	}
	y := make([]float64, 400)
	r := rng.New(3, "places")
	for i := range y {
		y[i] = 3 * r.NormFloat64()
	}
	y[2], y[3] = y[0], y[1] // a pair in one place
	dy := make([]float64, len(y))
	f := forces{pool: pool, p: p, y: y, dy: dy}
	f.gradient(1)
	for _, i := range []int{0, 3, 17, 101, 399} {
		const h = 1e-5
		at := y[i]
		y[i] = at + h
		up := divergence(p, y)
		y[i] = at - h
		down := divergence(p, y)
		y[i] = at
		if want := (up - down) / (2 * h); !(math.Abs(dy[i]-want) <= 1e-7) {
			t.Errorf("gradient [%d] = %g, difference %g", i, dy[i], want)
		}
	}
	exact := slices.Clone(dy)
	f.theta = .5
	f.gradient(1)
	off, size := 0.0, 0.0
	for i := range dy {
		off += (dy[i] - exact[i]) * (dy[i] - exact[i])
		size += exact[i] * exact[i]
	}
	if share := math.Sqrt(off / size); !(share <= .02) || share == 0 {
		t.Errorf("with theta 0.5 the gradient is off by %g of its length", share)
	}
}

// TestPerplexity holds the entropy of every row to what is asked for.
func TestPerplexity(t *testing.T) {
	r, p := rng.New(1, "distances"), make([]float64, 60)
	row := make([]neighbour, 60)
	for i := range row {
		row[i] = neighbour{int32(i), 1e4 + 50*float64(i)*r.Float64()}
	}
	slices.SortFunc(row, byDistance)
	conditional(p, row, 20)
	entropy := 0.0
	for _, v := range p {
		entropy -= v * math.Log(v)
	}
	if !(math.Abs(math.Exp(entropy)-20) <= 1e-3) {
		t.Errorf("perplexity %g, want 20", math.Exp(entropy))
	}
}

// TestNearest compares with distances in float64, over blocks that are not full.
func TestNearest(t *testing.T) {
	x, _ := groups(300, 9, 5)
	pool := kernel.NewPool(2)
	defer pool.Close()
	const k = 11
	got, err := nearest(context.Background(), pool, x, k)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		var want []neighbour
		for j := range 300 {
			sum := 0.0
			for l := range 9 {
				d := float64(x.Data[i*9+l]) - float64(x.Data[j*9+l])
				sum += d * d
			}
			if i != j {
				want = append(want, neighbour{int32(j), sum})
			}
		}
		slices.SortFunc(want, byDistance)
		for c := range k {
			if g := got[i*k+c]; !(math.Abs(g.dist-want[c].dist) <= 1e-3) {
				t.Fatalf("row %d, neighbour %d: %v, want %v", i, c, g, want[c])
			}
		}
	}
}

// TestEmbedKeepsGroups lays out groups that lie apart: the divergence must fall, most
// neighbours must stay, and be of the same group.
func TestEmbedKeepsGroups(t *testing.T) {
	x, of := groups(600, 10, 6)
	ctx, last := context.Background(), 0
	y, err := Embed(ctx, x, Config{Iterations: 300, Seed: 1}, func(done, total int) {
		if done != last+1 || total != 300 {
			t.Errorf("told %d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil || last != 300 {
		t.Fatal(err, last)
	}
	pool := kernel.NewPool(2)
	defer pool.Close()
	p, err := similarities(ctx, pool, x, 30)
	if err != nil {
		t.Fatal(err)
	}
	random := make([]float64, len(y))
	r := rng.New(5, "random")
	for i := range random {
		random[i] = 20 * r.NormFloat64()
	}
	kl, klRandom := divergence(p, y), divergence(p, random)
	if !(kl < klRandom/2) {
		t.Errorf("divergence %g, of random places %g", kl, klRandom)
	}
	kept, err := Kept(ctx, x, y, 10)
	if err != nil {
		t.Fatal(err)
	}
	keptRandom, err := Kept(ctx, x, random, 10)
	if err != nil {
		t.Fatal(err)
	}
	if !(kept > .25) || !(keptRandom < .05) {
		t.Errorf("%g of 10 neighbours are kept, %g in random places", kept, keptRandom)
	}
	plane := make([]float32, len(y))
	for i, v := range y {
		plane[i] = float32(v)
	}
	near, err := nearest(ctx, pool, tensor.From(plane, 600, 2), 5)
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for i, nb := range near {
		if of[i/5] == of[nb.at] {
			same++
		}
	}
	if !(float64(same) >= .99*float64(len(near))) {
		t.Errorf("%d of %d neighbours in the plane are of the same group", same, len(near))
	}
	again, err := Embed(ctx, x, Config{Iterations: 300, Seed: 1}, nil)
	if err != nil || !slices.Equal(y, again) {
		t.Errorf("the same seed gives other places (%v)", err)
	}
}

// TestEmbedOddInput takes what a data set may hold, and refuses what it may not.
func TestEmbedOddInput(t *testing.T) {
	ctx := context.Background()
	finite := func(name string, x tensor.Array) {
		t.Helper()
		y, err := Embed(ctx, x, Config{Iterations: 50}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, v := range y {
			if v-v != 0 {
				t.Fatalf("%s: a place is %v", name, v)
			}
		}
	}
	finite("equal rows", tensor.New(40, 3))
	one := tensor.New(30, 1)
	for i := range one.Data {
		one.Data[i] = float32(i % 3)
	}
	finite("one feature, three values", one)
	few, _ := groups(4, 6, 2)
	finite("four points", few)
	for name, x := range map[string]tensor.Array{
		"three points": tensor.New(3, 2), "no points": tensor.New(0, 2),
		"not a number": {Shape: tensor.Of(4, 1), Data: []float32{1, 2, float32(math.NaN()), 3}},
		"infinite":     {Shape: tensor.Of(4, 1), Data: []float32{1, 2, float32(math.Inf(1)), 3}},
	} {
		if _, err := Embed(ctx, x, Config{}, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Embed(ctx, few, Config{Theta: .9}, nil); err == nil {
		t.Error("theta 0.9: no error")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Embed(gone, few, Config{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gives %v", err)
	}
}

// BenchmarkEmbed is a map of 11 000 points with the width of a base model's projection.
//
//	go test ./internal/tsne -bench Embed -benchtime 1x -run XXX
func BenchmarkEmbed(b *testing.B) {
	x, _ := groups(11_000, 128, 60)
	for b.Loop() {
		if _, err := Embed(context.Background(), x, Config{Seed: 1}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
