package main

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/kernel"
)

// Ranks of embeddings from bytes are nearly those from floats, on a model that
// was trained a little: no recall moves by more than two of the 32 clips. On a
// machine without fast 8-bit products the command says so.
func TestRetrieveInt8(t *testing.T) {
	dir := demoFolder(t)
	args := []string{"retrieve", "runs/demo", "--precision", "int8"}
	if !kernel.HasInt8() {
		run(t, dir, args...).wants(t, 10, "VNNI", "--precision")
		needs(t, "vnni", false, "no AVX-512 VNNI: only the refusal is tested")
	}
	bytes := run(t, dir, append(args, "--json")...).wants(t, 0).object(t)
	floats := run(t, dir, "retrieve", "runs/demo", "--json").wants(t, 0).object(t)
	moved := 0.0
	for _, d := range []string{"a2v.", "v2a."} {
		for key, most := range map[string]float64{"r1": 2. / 32, "r5": 2. / 32, "r10": 2. / 32,
			"median": 1.5, "mean": 0.5} {
			diff := math.Abs(number(t, bytes, d+key) - number(t, floats, d+key))
			if moved += diff; !(diff <= most) {
				t.Errorf("%s%s moves by %v, want at most %v", d, key, diff, most)
			}
		}
	}
	if moved == 0 {
		t.Error("every figure is the same: were bytes used?")
	}
	if o := run(t, dir, args...).wants(t, 0); !strings.Contains(o.stdout, "in bytes") {
		t.Errorf("the table does not say that bytes were used:\n%s", o.stdout)
	}
}

func TestPrecisionRefused(t *testing.T) {
	run(t, demoFolder(t), "retrieve", "runs/demo", "--precision", "int4").
		wants(t, 2, `"int4"`, "float32, int8")
}

// The forward pass in bytes is a case of bench, with the work of the one in floats.
func TestBenchInt8(t *testing.T) {
	args := []string{"bench", "--presets", "tiny", "--modes", "forward-int8", "--repeat", "1",
		"--json"}
	if !kernel.HasInt8() {
		run(t, t.TempDir(), args...).wants(t, 10, "VNNI")
		needs(t, "vnni", false, "no AVX-512 VNNI: only the refusal is tested")
	}
	m := run(t, t.TempDir(), append(args, "--profile")...).wants(t, 0).object(t)
	if m["case"] != "tiny/397/forward-int8" || number(t, m, "clips") != 1 {
		t.Errorf("case %v of %v clips", m["case"], m["clips"])
	}
	done := number(t, m, "seconds") * number(t, m, "gflops")
	if want := 5.667406848; !(math.Abs(done-want) <= 1e-6*want) {
		t.Errorf("%v GFLOP, want %v", done, want)
	}
}
