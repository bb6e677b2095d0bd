package shim

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRecord: a record of a built shim that cannot be read names its file; one that
// can says the same after it has been written again, and the shim it speaks of is
// the one beside it, whatever path it claims. No record makes Current fail
// otherwise than with ErrNotBuilt, because none of these was built by this program.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"path":"/elsewhere","source":"x","torch":{"root":"/","lib":"/",` +
		`"version":"2.6.0"},"compile":["-O2"],"seconds":1.5,"time":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"seconds":1e999}`))
	cache := f.TempDir()
	dir := filepath.Join(folder(cache), "one")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, libraryName), []byte("library"), 0o755); err != nil {
		f.Fatal(err)
	}
	record := filepath.Join(dir, recordName)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(record, text, 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := readLibrary(dir)
		if err != nil {
			if !strings.Contains(err.Error(), recordName) || len(Built(cache)) != 0 {
				t.Fatalf("error %v", err)
			}
			return
		}
		if l.Path != filepath.Join(dir, libraryName) || l.Fault() == "" {
			t.Fatalf("%q is taken for %+v", text, l)
		}
		if _, err := Current(cache); !errors.Is(err, ErrNotBuilt) {
			t.Fatalf("error %v", err)
		}
		again, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(record, again, 0o644); err != nil {
			t.Fatal(err)
		}
		back, err := readLibrary(dir)
		if err != nil || !back.Time.Equal(l.Time) {
			t.Fatalf("%s, read again: %v", again, err)
		}
		back.Time = l.Time // its zone may be written otherwise
		if text, err := json.Marshal(back); err != nil || string(text) != string(again) {
			t.Fatalf("%s is read as %+v", again, back)
		}
	})
}
