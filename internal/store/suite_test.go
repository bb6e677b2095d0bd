package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"avjepa/internal/store"
	"avjepa/internal/store/storetest"
)

// brief is patient for less than a test takes.
var brief = store.Config{Retry: 400 * time.Millisecond, Timeout: 300 * time.Millisecond}

func open(t testing.TB, location string, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), location, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openS3 opens a prefix of a server's bucket.
func openS3(t testing.TB, srv *storetest.Server, cfg store.Config) *store.Store {
	cfg.Keys = srv.Keys
	return open(t, srv.Location("some/prefix"), cfg)
}

// eachKind calls f with a store of each kind, and one that writes to the same objects.
func eachKind(t *testing.T, f func(t *testing.T, s, writer *store.Store)) {
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		s := open(t, filepath.Join(t.TempDir(), "not", "yet"), store.Config{})
		f(t, s, s)
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		s := openS3(t, storetest.S3(t), store.Config{})
		f(t, s, s)
	})
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		srv := httptest.NewServer(http.StripPrefix("/a b", http.FileServer(http.Dir(dir))))
		t.Cleanup(srv.Close)
		f(t, open(t, srv.URL+"/a%20b", store.Config{}), open(t, dir, store.Config{}))
	})
}

// content returns n bytes that no other seed has.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	c.Read(b)
	return b
}

func put(t testing.TB, s *store.Store, name string, b []byte) {
	t.Helper()
	err := s.Write(t.Context(), name, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readAll(ctx context.Context, s *store.Store, name string) ([]byte, error) {
	r, err := s.NewReader(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func list(t testing.TB, s *store.Store, prefix string) []store.Object {
	t.Helper()
	var all []store.Object
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// isError fails the test unless errors.Is finds want in err.
func isError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that is %q", what, err, want)
	}
}

func TestRoundTrip(t *testing.T) {
	eachKind(t, func(t *testing.T, s, writer *store.Store) {
		ctx := t.Context()
		for i, size := range []int{0, 1, 70_000, 17 << 20} {
			name := fmt.Sprintf("dir/100%% ä+%d.tar", size)
			want := content(uint64(i), size)
			file := filepath.Join(t.TempDir(), "source")
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			var told int64
			if err := writer.Upload(ctx, name, file, func(n int64) { told = n }); err != nil {
				t.Fatal(err)
			}
			if told != int64(size) {
				t.Errorf("upload of %d bytes told of %d", size, told)
			}
			if n, err := s.Size(ctx, name); n != int64(size) || err != nil {
				t.Errorf("size %d, %v, want %d", n, err, size)
			}
			if got, err := readAll(ctx, s, name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes are read, or others: %v", len(got), size, err)
			}
			put(t, writer, "written", want)
			if got, err := readAll(ctx, s, "written"); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes that were written are read, or others: %v", len(got), size, err)
			}
		}
		for _, err := range []error{
			second(s.Size(ctx, "missing")), second(s.NewReader(ctx, "missing")),
			s.ReadAt(ctx, "missing", make([]byte, 1), 0), second(s.Size(ctx, "dir")),
			writer.Remove(ctx, "missing"), writer.Remove(ctx, "dir"),
		} {
			isError(t, "no such object", err, store.ErrNotExist)
		}
		if err := writer.Remove(ctx, "written"); err != nil {
			t.Error(err)
		}
		isError(t, "removed object", second(s.Size(ctx, "written")), store.ErrNotExist)
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if _, local := s.Local(); !local {
			isError(t, "canceled", s.ReadAt(canceled, "x", make([]byte, 1), 0), context.Canceled)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestRanges(t *testing.T) {
	const size = 5000
	eachKind(t, func(t *testing.T, s, writer *store.Store) {
		ctx, want := t.Context(), content(9, size)
		put(t, writer, "x", want)
		put(t, writer, "empty", nil)
		for _, r := range [][2]int{{0, 0}, {0, 1}, {0, size}, {0, size - 1}, {1, size - 1},
			{size - 1, 1}, {size, 0}, {77, 1234}} {
			got := bytes.Repeat([]byte{0xAA}, r[1]+2)
			if err := s.ReadAt(ctx, "x", got[1:r[1]+1], int64(r[0])); err != nil {
				t.Errorf("%d bytes at %d: %v", r[1], r[0], err)
			}
			if !bytes.Equal(got[1:r[1]+1], want[r[0]:r[0]+r[1]]) || got[0] != 0xAA || got[r[1]+1] != 0xAA {
				t.Errorf("%d bytes at %d: other bytes", r[1], r[0])
			}
		}
		for _, r := range [][2]int{{0, size + 1}, {size - 1, 2}, {size, 1}, {size + 9, 1}, {1 << 40, 4}} {
			err := s.ReadAt(ctx, "x", make([]byte, r[1]), int64(r[0]))
			isError(t, fmt.Sprint("range ", r), err, store.ErrShort)
		}
		isError(t, "of nothing", s.ReadAt(ctx, "empty", make([]byte, 1), 0), store.ErrShort)
		if s.ReadAt(ctx, "x", make([]byte, 1), -1) == nil {
			t.Error("a negative offset is no error")
		}
	})
}

func TestConcurrentReads(t *testing.T) {
	eachKind(t, func(t *testing.T, s, writer *store.Store) {
		want := content(3, 1<<20)
		put(t, writer, "x", want)
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(g), 0))
				for range 20 {
					off := r.IntN(len(want) - 1)
					p := make([]byte, 1+r.IntN(min(60_000, len(want)-off)))
					if err := s.ReadAt(t.Context(), "x", p, int64(off)); err != nil ||
						!bytes.Equal(p, want[off:off+len(p)]) {
						t.Errorf("%d bytes at %d: %v, or others", len(p), off, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestList(t *testing.T) {
	eachKind(t, func(t *testing.T, s, writer *store.Store) {
		if s != writer {
			for _, err := range s.List(t.Context(), "") {
				isError(t, "list over HTTP", err, store.ErrUnsupported)
			}
			isError(t, "remove over HTTP", s.Remove(t.Context(), "x"), store.ErrUnsupported)
			isError(t, "write over HTTP", s.Write(t.Context(), "x", nil), store.ErrUnsupported)
			isError(t, "upload over HTTP", s.Upload(t.Context(), "x", "x", nil), store.ErrUnsupported)
			return
		}
		put(t, s, "first", nil)
		if all := list(t, s, "none/at/all"); len(all) != 0 {
			t.Errorf("a prefix of no name lists %v", all)
		}
		for _, name := range []string{"a/b", "a.b", "a/b-1/c", "ä"} {
			put(t, s, name, []byte(name))
		}
		want := []store.Object{{Name: "a.b", Size: 3}, {Name: "a/b", Size: 3},
			{Name: "a/b-1/c", Size: 7}, {Name: "first"}, {Name: "ä", Size: 2}}
		if _, local := s.Local(); local { // a folder's files are all there are
			put(t, s, "z", nil)
			want = slices.Insert(want, 4, store.Object{Name: "z"})
		}
		for prefix, n := range map[string][2]int{"": {0, len(want)}, "a": {0, 3}, "a/": {1, 3},
			"a/b": {1, 3}, "a/b-": {2, 3}, "fi": {3, 4}} {
			if got := list(t, s, prefix); !slices.Equal(got, want[n[0]:n[1]]) {
				t.Errorf("prefix %q lists %v, want %v", prefix, got, want[n[0]:n[1]])
			}
		}
		for range s.List(t.Context(), "") {
			break // which must not panic
		}
	})
}

func TestNames(t *testing.T) {
	bad := []string{"", ".", "..", "../x", "a/../b", "a/..", "/etc/passwd", "a//b", "a/", "./a", "a../b",
		"a\x00b", "a\nb", "a\u0085b", `a\b`, "a\xffb", string(bytes.Repeat([]byte("x"), 201)),
		string(bytes.Repeat([]byte("x/"), 500)) + "x"}
	eachKind(t, func(t *testing.T, s, _ *store.Store) {
		ctx := t.Context()
		for _, name := range bad {
			for what, err := range map[string]error{
				"Size":      second(s.Size(ctx, name)),
				"ReadAt":    s.ReadAt(ctx, name, make([]byte, 1), 0),
				"NewReader": second(s.NewReader(ctx, name)),
				"Write":     s.Write(ctx, name, func(io.Writer) error { return nil }),
				"Upload":    s.Upload(ctx, name, "suite_test.go", nil),
				"Remove":    s.Remove(ctx, name),
			} {
				isError(t, fmt.Sprintf("%s of %.20q", what, name), err, store.ErrName)
			}
		}
	})
	if err := store.CheckName("a/..b/c .d/日本.tar"); err != nil {
		t.Error(err)
	}
}

// TestFailedWrite leaves an object as it was.
func TestFailedWrite(t *testing.T) {
	fault := errors.New("no more")
	eachKind(t, func(t *testing.T, s, writer *store.Store) {
		ctx := t.Context()
		put(t, writer, "old", []byte("old"))
		for _, n := range []int{0, 1, 20 << 20} {
			for _, name := range []string{"new", "old"} {
				err := writer.Write(ctx, name, func(w io.Writer) error {
					if _, err := w.Write(make([]byte, n)); err != nil {
						return err
					}
					return fault
				})
				isError(t, "a write that gives up", err, fault)
			}
		}
		isError(t, "after failed writes", second(s.Size(ctx, "new")), store.ErrNotExist)
		if b, err := readAll(ctx, s, "old"); string(b) != "old" {
			t.Errorf("after failed writes there is %q, %v", b, err)
		}
	})
}
