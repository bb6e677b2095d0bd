package internal

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// needsAVX512 matches what only a processor with AVX-512 runs: registers from 16 on,
// registers of 64 bytes, masks, and instructions that have no older form.
var needsAVX512 = regexp.MustCompile(`\b([XY](1[6-9]|2\d|3[01])|Z\d+|K[0-7])\b|` +
	`\bV(P(XOR|OR|AND|ANDN|TERNLOG)[DQ]|\w+(32|64)X\d|PMULLQ|PERM[IT]2\w+)\b`)

// TestAssemblyOfAVX2 keeps AVX-512 out of functions for processors that lack it. A
// generator that runs out of registers takes such ones without a word, and a machine that
// has them does not notice.
func TestAssemblyOfAVX2(t *testing.T) {
	files, err := filepath.Glob("*/*_amd64.s")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d assembly files: %v", len(files), err)
	}
	functions := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		in, older := "", false
		for i, line := range bytes.Split(text, []byte("\n")) {
			if after, ok := strings.CutPrefix(string(line), "TEXT ·"); ok {
				in, _, _ = strings.Cut(after, "(")
				older = !strings.Contains(in, "AVX512") && !strings.Contains(in, "VNNI")
				if older {
					functions++
				}
			}
			if m := needsAVX512.Find(line); older && m != nil {
				t.Errorf("%s:%d: %s uses %s, which needs AVX-512", name, i+1, in, m)
			}
		}
	}
	if functions < 30 {
		t.Errorf("%d functions without AVX-512 were seen, there are more", functions)
	}
}
