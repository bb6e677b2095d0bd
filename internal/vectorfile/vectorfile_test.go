package vectorfile

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"avjepa/internal/durable"
)

func rows(n int) []Row {
	all := make([]Row, n)
	for i := range all {
		all[i] = Row{Key: fmt.Sprint("clip, ", i), Path: "/a/b.mp4", Start: float64(i) / 4, Modality: "audio",
			Vector: []float32{float32(i), -0.5, math.MaxFloat32}, Label: "dög", Labels: []string{"dög", "b"},
			Split: "val", Model: "m1"}
	}
	all[n-1].Label, all[n-1].Labels = "", nil
	return all
}

func write(t *testing.T, path string, all []Row) []byte {
	t.Helper()
	err := Write(path, 3, func(add func(*Row) error) error {
		for i := range all {
			if err := add(&all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A Parquet file gives the rows back, over several row groups, and is the same each time.
func TestParquet(t *testing.T) {
	all := rows(2*groupRows + 7)
	path := filepath.Join(t.TempDir(), "x.parquet")
	data := write(t, path, all)
	if again := write(t, path, all); !bytes.Equal(data, again) {
		t.Error("the same rows made other bytes")
	}
	got, err := parquet.ReadFile[Row](path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(all) {
		t.Fatalf("%d rows, want %d", len(got), len(all))
	}
	for i := range got {
		if len(got[i].Labels) == 0 {
			got[i].Labels = nil
		}
		if !reflect.DeepEqual(got[i], all[i]) {
			t.Fatalf("row %d: %+v, want %+v", i, got[i], all[i])
		}
	}
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.RowGroups()); n != 3 {
		t.Errorf("%d row groups, want 3", n)
	}
	schema := f.Schema().String()
	for _, want := range []string{"required binary key (STRING)", "embedding (LIST)", "required float element",
		"required double start_seconds"} {
		if !strings.Contains(schema, want) {
			t.Errorf("the schema lacks %q:\n%s", want, schema)
		}
	}
}

// A NumPy file has the header of the format, whatever the number of rows, and its CSV says
// what each row is.
func TestNumPy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.npy")
	all := rows(1234)
	data := write(t, path, all)
	head := "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1234, 3), }"
	if !strings.HasPrefix(string(data), head) || data[127] != '\n' || len(data) != 128+1234*3*4 {
		t.Errorf("%d bytes, header %q", len(data), data[:min(len(data), 128)])
	}
	for i, r := range all {
		for j, x := range r.Vector {
			if got := math.Float32frombits(binary.LittleEndian.Uint32(data[128+4*(3*i+j):])); got != x {
				t.Fatalf("row %d: %v, want %v", i, got, x)
			}
		}
	}
	side, err := os.ReadFile(filepath.Join(filepath.Dir(path), "x.csv"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(side)).ReadAll()
	if err != nil || len(lines) != 1235 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	want := []string{"3", "clip, 3", "/a/b.mp4", "0.75", "audio", "dög", "dög;b", "val", "m1"}
	if !slices.Equal(lines[4], want) {
		t.Errorf("%q, want %q", lines[4], want)
	}
}

func TestLines(t *testing.T) {
	data := write(t, filepath.Join(t.TempDir(), "x.jsonl"), rows(3))
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	var last map[string]any
	if err := json.Unmarshal([]byte(lines[2]), &last); err != nil || len(lines) != 3 {
		t.Fatal(err)
	}
	if last["start_seconds"] != 0.5 || len(last["embedding"].([]any)) != 3 || last["labels"] == nil {
		t.Errorf("%v", last)
	}
}

// Nothing is left of a file that could not be written, and an earlier one stays.
func TestWholeOrNot(t *testing.T) {
	for _, form := range Forms {
		dir := t.TempDir()
		path := filepath.Join(dir, "x"+form)
		was := write(t, path, rows(2))
		no := errors.New("no more")
		for _, bad := range []error{no, nil} {
			err := Write(path, 3, func(add func(*Row) error) error {
				r := rows(5)
				if err := add(&r[0]); err != nil || bad != nil {
					return errors.Join(err, bad)
				}
				r[1].Vector = r[1].Vector[:2]
				return add(&r[1])
			})
			if err == nil || bad != nil && !errors.Is(err, no) {
				t.Errorf("%s: %v", form, err)
			}
		}
		if now, _ := os.ReadFile(path); !bytes.Equal(now, was) {
			t.Errorf("%s has changed", form)
		}
		entries, _ := os.ReadDir(dir)
		if len(entries) != len(Files(path)) {
			t.Errorf("%s: %v", form, entries)
		}
	}
	if err := Check("x.csv"); err == nil {
		t.Error("a form that is none was taken")
	}
}

// Parts that were begun go on, unless they were made with other settings.
func TestParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "work")
	p, err := OpenParts(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	all := rows(6)
	if err := p.Add(4, all[:2], []Left{{"x", "corrupt", "why"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenParts(dir, "a"); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	p.Close()
	if _, err := OpenParts(dir, "b"); !errors.Is(err, ErrOtherParts) {
		t.Errorf("other settings: %v", err)
	}
	// What a kill leaves behind is no part.
	os.WriteFile(filepath.Join(dir, ".part-000000004-2.tmp-1"), []byte("half"), 0o600)
	if p, err = OpenParts(dir, "a"); err != nil || p.Next() != 4 {
		t.Fatalf("next %v, %v", p, err)
	}
	if err := p.Add(2, all[2:], nil); err != nil {
		t.Fatal(err)
	}
	var got []Row
	var left []Left
	err = p.Each(func(r *Row) error { got = append(got, *r); return nil }, func(l Left) { left = append(left, l) })
	if err != nil || !reflect.DeepEqual(got, all) || len(left) != 1 {
		t.Errorf("%d rows, %v, %v", len(got), left, err)
	}
	p.Close()
	// A part that is not there, or cut short, is noticed.
	name := filepath.Join(dir, "part-000000004-2")
	os.Truncate(name, 20)
	if p, err = OpenParts(dir, "a"); err != nil {
		t.Fatal(err)
	}
	if err := p.Each(func(*Row) error { return nil }, nil); err == nil {
		t.Error("half a part was read")
	}
	p.Close()
	os.Rename(name, filepath.Join(dir, "part-000000005-2"))
	if _, err := OpenParts(dir, "a"); err == nil {
		t.Error("a gap between parts was passed over")
	}
	os.Remove(filepath.Join(dir, "part-000000005-2"))
	if p, err = OpenParts(dir, "a"); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder is still there")
	}
}
