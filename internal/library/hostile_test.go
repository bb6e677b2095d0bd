package library

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tampered is a closed library after statements of a stranger's.
func tampered(t *testing.T, statements ...string) string {
	t.Helper()
	l := made(t, 20)
	if err := l.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	db, err := sql.Open("sqlite", filepath.Join(l.Dir(), fileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return l.Dir()
}

// A file that is none of ours, or holds what cannot be, is refused with what to do.
func TestFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want error
	}{
		"another program's": {"PRAGMA application_id = 7", ErrNotLibrary},
		"another version":   {"PRAGMA user_version = 99", ErrNotLibrary},
		"a trigger":         {"CREATE TRIGGER x AFTER INSERT ON clip BEGIN DELETE FROM clip;END", ErrCorrupt},
		"a view":            {"CREATE VIEW x AS SELECT 1", ErrCorrupt},
		"no table":          {"DROP TABLE left_out", ErrCorrupt},
		"another table":     {"DROP TABLE left_out; CREATE TABLE left_out (x)", ErrCorrupt},
		"a short vector":    {"UPDATE vectors SET audio = x'0000803f' WHERE clip = 3", ErrCorrupt},
		"no number":         {"UPDATE vectors SET audio = cast(zeroblob(92) || x'0000c07f' AS BLOB) WHERE clip = 3", ErrCorrupt},
		"a huge vector":     {"UPDATE vectors SET both = zeroblob(100000000) WHERE clip = 3", ErrCorrupt},
		"text for a vector": {"UPDATE vectors SET both = 'abc' WHERE clip = 3", ErrCorrupt},
		"many numbers":      {`UPDATE model SET about = replace(about, '"dims":24', '"dims":2000000000')`, ErrCorrupt},
		"no model":          {"UPDATE model SET about = '{'", ErrCorrupt},
		"few quantiles":     {"UPDATE null_scores SET quantiles = x'00'", ErrCorrupt},
		"falling quantiles": {"UPDATE null_scores SET quantiles = cast(x'0000803f' || zeroblob(4000) AS BLOB)", ErrCorrupt},
		"a short mean":      {"UPDATE mean SET value = x'00'", ErrCorrupt},
		"another mean":      {"UPDATE mean SET modality = 77 WHERE modality = 1", ErrCorrupt},
	} {
		began := time.Now()
		l, err := Open(t.Context(), tampered(t, strings.Split(c.sql, "; ")...), Options{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if l != nil {
			l.Close()
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// Damage anywhere in the file ends with an error or with a library, never otherwise.
func TestDamagedPages(t *testing.T) {
	dir := tampered(t, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE")
	path := filepath.Join(dir, fileName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, change := range []func(b []byte) []byte{
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { return b[:100] },
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return []byte(strings.Repeat("no database ", 2000)) },
		func(b []byte) []byte { copy(b[16384:], make([]byte, 16384)); return b },
		func(b []byte) []byte { copy(b[3*16384:], strings.Repeat("\xff", 16384)); return b },
	} {
		if err := os.WriteFile(path, change(append([]byte(nil), whole...)), 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := Open(t.Context(), dir, Options{Check: true})
		if err == nil {
			l.Close()
			continue
		}
		refused++
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotLibrary) {
			t.Errorf("%v", err)
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
	}
	if refused < 5 {
		t.Errorf("%d of 6 damaged files were refused", refused)
	}
}

// killed, set in the environment, is the folder that a child of this test writes to until it
// is killed.
const killed = "AVJEPA_TEST_LIBRARY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killed); dir != "" {
		writeForever(dir)
	}
	os.Exit(m.Run())
}

// A process that is killed while it writes leaves a library with whole entries.
func TestKilledWriter(t *testing.T) {
	l := made(t, 0)
	l.Close()
	for i := range 3 {
		c := exec.Command(os.Args[0], "-test.run=^$")
		c.Env = append(os.Environ(), killed+"="+l.Dir())
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(300+200*i) * time.Millisecond)
		c.Process.Kill()
		c.Wait()
		after := opened(t, l.Dir(), Options{Write: true, Check: true})
		s, err := after.Stats(t.Context())
		if err != nil || s.Clips%10 != 0 || s.Embedded[Audio] != s.Clips || s.Embedded[Both] != s.Clips {
			t.Errorf("%+v, %v", s, err)
		}
		if i == 2 && s.Clips == 0 {
			t.Log("killed before anything was written")
		}
		after.Close()
	}
}
