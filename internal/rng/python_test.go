package rng

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// The draws are those of Python itself.
func TestPythonGolden(t *testing.T) {
	var g struct {
		Subset struct {
			Python struct {
				Seed0   []uint32 `json:"seed0_getrandbits32"`
				Seed7   []uint32 `json:"seed7_getrandbits32"`
				Shuffle []int    `json:"seed0_shuffle_range12"`
				Second  []string `json:"seed0_then_second_shuffle_abcdefg"`
			} `json:"python_random"`
		} `json:"subset"`
	}
	text, err := os.ReadFile("../../testdata/golden/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	want := g.Subset.Python
	if len(want.Seed0) == 0 || len(want.Second) == 0 {
		t.Fatal("no draws in the file")
	}
	for seed, draws := range map[uint64][]uint32{0: want.Seed0, 7: want.Seed7} {
		p := NewPython(seed)
		for i, w := range draws {
			if got := p.Uint32(); got != w {
				t.Errorf("seed %d, draw %d: %d, want %d", seed, i, got, w)
			}
		}
	}
	p := NewPython(0)
	numbers := make([]int, 12)
	for i := range numbers {
		numbers[i] = i
	}
	p.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	letters := []string{"a", "b", "c", "d", "e", "f", "g"}
	p.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
	if !slices.Equal(numbers, want.Shuffle) || !slices.Equal(letters, want.Second) {
		t.Errorf("shuffled to %v and %v, want %v and %v", numbers, letters, want.Shuffle, want.Second)
	}
}

// Seeds of more than 32 bits are two words of the key, and draw 700 comes after the
// state has been made anew: python3 -c "import random; r = random.Random(2**40+3);
// x = [r.getrandbits(32) for _ in range(700)]; print(x[0], x[699], r.randrange(1000))".
func TestPythonLongSeed(t *testing.T) {
	p := NewPython(1<<40 + 3)
	first := p.Uint32()
	var last uint32
	for range 699 {
		last = p.Uint32()
	}
	if n := p.Below(1000); first != 943978446 || last != 2791596696 || n != 514 {
		t.Errorf("%d, %d, %d", first, last, n)
	}
}
