package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestLedgerOfManyLines reads a ledger of several blocks as its lines say, one after
// the other; a torn last line of any length is cut off, any other that is wrong names
// its number.
func TestLedgerOfManyLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), ledgerFile)
	writeManyLines(t, path, 4000)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(good) < blockBytes {
		t.Fatalf("%d bytes are too few for this test", len(good))
	}
	clips := manyClips(4000)
	for _, torn := range []string{"", `{"source":"/x`, strings.Repeat("x", maxLineBytes+1),
		strings.Repeat("x", 3*blockBytes)} {
		if err := os.WriteFile(path, append(bytes.Clone(good), torn...), 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := openLedger(path)
		if err != nil {
			t.Fatalf("%d torn bytes: %v", len(torn), err)
		}
		l.file.Close()
		if got := l.kept(); !reflect.DeepEqual(got, clips) || len(l.sources) != 4000 {
			t.Errorf("%d torn bytes: %d clips, %d sources", len(torn), len(got), len(l.sources))
		}
		if src := l.sources["/data/films/v_00000017.mp4"]; src == nil || !src.Whole || src.Split != "train" ||
			src.Hash != fmt.Sprintf("%032x", 17) {
			t.Errorf("source %+v", src)
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, good) {
			t.Errorf("%d torn bytes: %d bytes are left, want %d (%v)", len(torn), len(left), len(good), err)
		}
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	for name, line := range map[string]string{
		"broken": "{\"source\":\n", "empty": "\n", "unknown": "{\"sauce\":\"x\"}\n",
		"twice": string(lines[0]), "too long": strings.Repeat("x", maxLineBytes) + "\n",
		"very long": strings.Repeat("x", 2*blockBytes) + "\n",
		"invalid":   strings.Replace(string(lines[6002]), `"frames":80`, `"frames":-1`, 1),
		"other key": strings.Replace(string(lines[6002]), `"key":"train/v_`, `"key":"train/w_`, 1),
	} {
		bad := bytes.Join([][]byte{bytes.Join(lines[:6002], nil), []byte(line), bytes.Join(lines[6002:], nil)}, nil)
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := openLedger(path); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "line 6003: ") {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}
