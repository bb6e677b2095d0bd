package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"avjepa/internal/store"
	"avjepa/internal/store/storetest"
)

// patient waits for a server that a test has killed.
var patient = store.Config{Retry: 10 * time.Second, Timeout: 5 * time.Second}

// TestRestart kills the server while readers read, and starts it again.
func TestRestart(t *testing.T) {
	t.Parallel()
	srv := storetest.S3(t)
	cfg := patient
	var told atomic.Pointer[store.Retry]
	cfg.OnRetry = func(r store.Retry) { told.Store(&r) }
	s := openS3(t, srv, cfg)
	want := content(1, 24<<20)
	put(t, s, "x", want)

	var wg sync.WaitGroup
	half := make(chan bool, 1)
	wg.Go(func() {
		r, err := s.NewReader(t.Context(), "x")
		if err != nil {
			t.Error(err)
			half <- true
			return
		}
		defer r.Close()
		got := make([]byte, len(want))
		n, err := io.ReadFull(r, got[:1<<20])
		half <- true
		for err == nil && n < len(got) {
			var m int
			m, err = r.Read(got[n:min(n+32<<10, len(got))])
			n += m
			time.Sleep(200 * time.Microsecond) // so that the end is not in a buffer
		}
		if _, e := r.Read(got[:1]); err == nil && e != io.EOF {
			err = e
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("a reader read %d bytes, or others: %v", n, err)
		}
	})
	stop := make(chan bool)
	for range 4 {
		wg.Go(func() {
			p := make([]byte, 100_000)
			for off := 0; ; off = (off + 1_234_567) % (len(want) - len(p)) {
				if err := s.ReadAt(t.Context(), "x", p, int64(off)); err != nil ||
					!bytes.Equal(p, want[off:off+len(p)]) {
					t.Errorf("bytes at %d: %v, or others", off, err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	<-half
	srv.Restart(300 * time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	srv.Restart(0)
	time.Sleep(100 * time.Millisecond)
	close(stop)
	wg.Wait()
	r := told.Load()
	if r == nil {
		t.Fatal("no retry was told of")
	}
	line := r.String()
	if !strings.Contains(line, "s3://bucket/some/prefix/x") || !strings.Contains(line, "retrying for ") ||
		r.Left <= 0 || r.Left > cfg.Retry || r.Wait <= 0 || r.Wait > r.Left {
		t.Errorf("told %q: %+v", line, r)
	}
}

// TestNoAnswer bounds how long a server is waited for that does not come back.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	srv := storetest.S3(t)
	put(t, openS3(t, srv, patient), "x", content(1, 1<<20))
	s := openS3(t, srv, brief)
	srv.Kill()
	for what, call := range map[string]func() error{
		"read":   func() error { return s.ReadAt(t.Context(), "x", make([]byte, 1), 0) },
		"size":   func() error { return second(s.Size(t.Context(), "x")) },
		"reader": func() error { return second(readAll(t.Context(), s, "x")) },
		"remove": func() error { return s.Remove(t.Context(), "x") },
		"list": func() (err error) {
			for _, e := range s.List(t.Context(), "") {
				err = e
			}
			return err
		},
		"write": func() error {
			return s.Write(t.Context(), "x", func(w io.Writer) error {
				_, err := w.Write(make([]byte, 20<<20))
				return err
			})
		},
	} {
		begun := time.Now()
		err := call()
		d := time.Since(begun)
		isError(t, what, err, store.ErrNoAnswer)
		if err != nil && (!strings.Contains(err.Error(), "connection refused") || len(err.Error()) > 300) {
			t.Errorf("%s: error %q", what, err)
		}
		if d < brief.Retry || d > brief.Retry+9*time.Second {
			t.Errorf("%s: given up after %v, want %v", what, d, brief.Retry)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	long := openS3(t, srv, patient)
	begun := time.Now()
	isError(t, "a read whose context ends", long.ReadAt(ctx, "x", make([]byte, 1), 0), context.DeadlineExceeded)
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("a context of 0.1 s ended a read after %v", d)
	}
}

// TestKilledUpload kills the server in the middle of an upload: the object is there
// whole, or not at all.
func TestKilledUpload(t *testing.T) {
	t.Parallel()
	srv := storetest.S3(t)
	s := openS3(t, srv, brief)
	want := content(1, 40<<20)
	write := func(s *store.Store, name string, middle func()) error {
		return s.Write(t.Context(), name, func(w io.Writer) error {
			for i := 0; i < len(want); i += 1 << 20 {
				if i == 30<<20 {
					middle()
				}
				if _, err := w.Write(want[i : i+1<<20]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	isError(t, "upload to a dead server", write(s, "x", srv.Kill), store.ErrNoAnswer)
	srv.Start()
	isError(t, "after the upload", second(s.Size(t.Context(), "x")), store.ErrNotExist)
	if all := list(t, s, ""); len(all) != 0 {
		t.Errorf("half an upload is visible: %v", all)
	}

	s = openS3(t, srv, patient)
	if err := write(s, "x", func() { srv.Restart(200 * time.Millisecond) }); err != nil {
		t.Errorf("upload over a restart: %v", err)
	}
	if got, err := readAll(t.Context(), s, "x"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after a restart %d of %d bytes are there, or others: %v", len(got), len(want), err)
	}
}

// TestCanceledUpload leaves nothing, not even parts.
func TestCanceledUpload(t *testing.T) {
	t.Parallel()
	srv := storetest.S3(t)
	s := openS3(t, srv, patient)
	file := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(file, make([]byte, 60<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	begun := time.Now()
	err := s.Upload(ctx, "x", file, func(n int64) {
		if n > 40<<20 {
			cancel()
		}
	})
	isError(t, "canceled upload", err, context.Canceled)
	if d := time.Since(begun); d > 9*time.Second {
		t.Errorf("canceled after %v", d)
	}
	isError(t, "after it", second(s.Size(t.Context(), "x")), store.ErrNotExist)
	err = filepath.Walk(srv.File(""), func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRefusals are mistakes that no waiting mends: they fail at once and say what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	srv := storetest.S3(t)
	good := srv.Keys
	for _, c := range []struct {
		location string
		keys     store.Keys
		is       error
		text     string
	}{
		{srv.Location(""), store.Keys{ID: good.ID, Secret: "wrong"}, store.ErrPermission, "AWS_SECRET_ACCESS_KEY"},
		{srv.Location(""), store.Keys{ID: "nobody", Secret: "wrong"}, store.ErrPermission, "AWS_PROFILE"},
		{"s3://other/x?endpoint=" + srv.Endpoint, good, nil, "make the bucket"},
	} {
		s := open(t, c.location, store.Config{Keys: c.keys}) // and 5 minutes
		for what, err := range map[string]error{
			"size": second(s.Size(t.Context(), "x")),
			"read": s.ReadAt(t.Context(), "x", make([]byte, 1), 0),
			"write": s.Write(t.Context(), "x", func(w io.Writer) error {
				_, err := w.Write([]byte("x"))
				return err
			}),
			"list": func() (err error) {
				for _, err = range s.List(t.Context(), "") {
				}
				return err
			}(),
		} {
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) ||
				errors.Is(err, store.ErrNotExist) || strings.Contains(err.Error(), "wrong") {
				t.Errorf("%s %s: error %v, want one with %q", what, c.location, err, c.text)
			}
		}
	}
}

// proxy stands before a server, where change may alter requests and responses.
func proxy(t *testing.T, srv *storetest.Server, ask func(*http.Request), change func(*http.Response)) *storetest.Server {
	target, err := url.Parse(srv.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
			ask(r.Out)
		},
		ModifyResponse: func(r *http.Response) error {
			change(r)
			return nil
		},
		ErrorLog: silent,
	}
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	return &storetest.Server{Endpoint: front.URL, Bucket: srv.Bucket, Keys: srv.Keys}
}

// flipped is body with one bit of its first byte another.
func flipped(body io.ReadCloser) io.ReadCloser {
	b, _ := io.ReadAll(body)
	body.Close()
	if len(b) > 0 {
		b[0] ^= 1
	}
	return io.NopCloser(bytes.NewReader(b))
}

func ignore[T any](T) {}

// TestCorrupted has bytes change on the way, and in the store.
func TestCorrupted(t *testing.T) {
	t.Parallel()
	srv := storetest.S3(t)
	direct := openS3(t, srv, patient)
	small, large := content(1, 1000), content(2, 17<<20)
	send := func(s *store.Store, name string, b []byte) error {
		return s.Write(t.Context(), name, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
	}

	// Once, to the server: the part is sent again.
	var puts, gets atomic.Int64
	once := openS3(t, proxy(t, srv, func(r *http.Request) {
		if r.Method == http.MethodPut && puts.Add(1) == 1 {
			r.Body = flipped(r.Body)
		}
		if r.Method == http.MethodGet {
			gets.Add(1)
		}
	}, ignore), patient)
	for _, want := range [][]byte{small, large} {
		puts.Store(0)
		if err := send(once, "once", want); err != nil {
			t.Error(err)
		}
		if got, err := readAll(t.Context(), direct, "once"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d of %d bytes, or others: %v", len(got), len(want), err)
		}
		if puts.Load() < 2 || gets.Load() > 0 {
			t.Errorf("%d times sent, %d times read back although the store has checksums",
				puts.Load(), gets.Load())
		}
	}
	// Always: given up when time is over.
	always := openS3(t, proxy(t, srv, func(r *http.Request) {
		if r.Method == http.MethodPut {
			r.Body = flipped(r.Body)
		}
	}, ignore), brief)
	isError(t, "corrupted always", send(always, "always", small), store.ErrNoAnswer)
	isError(t, "corrupted always", second(direct.Size(t.Context(), "always")), store.ErrNotExist)

	// The store has other bytes than were sent, by its checksum and without one.
	other := openS3(t, proxy(t, srv, ignore, func(r *http.Response) {
		if r.Request.Method == http.MethodHead {
			r.Header.Set("X-Amz-Checksum-Crc32c", "AAAAAA==")
		}
	}), patient)
	isError(t, "another checksum", send(other, "other", small), store.ErrCorrupt)
	isError(t, "another checksum", second(direct.Size(t.Context(), "other")), store.ErrNotExist)
	for _, flip := range []bool{false, true} {
		gets.Store(0)
		without := openS3(t, proxy(t, srv, ignore, func(r *http.Response) {
			r.Header.Del("X-Amz-Checksum-Crc32c")
			if r.Request.Method == http.MethodGet {
				gets.Add(1)
				if flip {
					r.Body = flipped(r.Body)
				}
			}
		}), patient)
		err := send(without, "without", small)
		if flip {
			isError(t, "read back", err, store.ErrCorrupt)
		} else if err != nil || gets.Load() != 1 {
			t.Errorf("without checksums: %v after %d GETs", err, gets.Load())
		}
	}

	// In the store, later.
	put(t, direct, "rots", small)
	file := srv.File("some/prefix/rots")
	if err := os.WriteFile(file, append([]byte{small[0] ^ 1}, small[1:]...), 0o644); err != nil {
		t.Fatal(err)
	}
	isError(t, "rotten object", second(readAll(t.Context(), direct, "rots")), store.ErrCorrupt)
}

// TestWithoutChecksums is for stores that know none.
func TestWithoutChecksums(t *testing.T) {
	t.Parallel()
	srv := storetest.S3(t)
	front := proxy(t, srv, func(r *http.Request) {
		for key := range r.Header {
			if strings.Contains(strings.ToLower(key), "checksum") {
				t.Errorf("%s has %s", r.Method, key)
			}
		}
	}, ignore)
	cfg := patient
	cfg.Keys = srv.Keys
	s := open(t, front.Location("x")+"&checksums=false&region=us-east-1&path_style=true", cfg)
	for _, n := range []int{0, 1000, 17 << 20} {
		put(t, s, "y", content(3, n))
		if got, err := readAll(t.Context(), s, "y"); err != nil || !bytes.Equal(got, content(3, n)) {
			t.Errorf("%d of %d bytes, or others: %v", len(got), n, err)
		}
	}
}

// TestHostileS3 lists, reads and writes at servers that do not behave.
func TestHostileS3(t *testing.T) {
	t.Parallel()
	const head = `<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated>`
	page := func(token string, keys ...string) string {
		text := head + "<NextContinuationToken>" + token + "</NextContinuationToken>"
		for _, k := range keys {
			text += "<Contents><Key>" + k + "</Key><Size>3</Size>" +
				"<LastModified>2024-01-01T00:00:00Z</LastModified></Contents>"
		}
		return text + "</ListBucketResult>"
	}
	for name, c := range map[string]struct {
		list http.HandlerFunc
		text string
	}{
		"same page": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, page("a", "p/x")) }, "does not end"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, head+"<Contents><Key>")
			for x := bytes.Repeat([]byte("x"), 64<<10); r.Context().Err() == nil; {
				w.Write(x)
			}
		}, "more than 4 MiB"},
		"HTML":          {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>Hello") }, ""},
		"endless error": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403); endless(w) }, "403"},
		"redirect":      {redirect("http://127.0.0.1:1/"), "302"},
		"other region": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "eu-north-1")
			w.WriteHeader(301)
		}, "?region=eu-north-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(c.list)
			defer srv.Close()
			cfg := patient
			cfg.Keys = store.Keys{ID: "a", Secret: "b"}
			s := open(t, "s3://bucket/p?endpoint="+srv.URL, cfg)
			var err error
			n, begun := 0, time.Now()
			for _, err = range s.List(t.Context(), "") {
				n++
			}
			if err == nil || !strings.Contains(err.Error(), c.text) || n > 3 || len(err.Error()) > 600 {
				t.Errorf("%d names, error %v, want one with %q", n, err, c.text)
			}
			if d := time.Since(begun); d > 9*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	t.Run("names", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Replace(page("", "p/../../etc/passwd", "/etc/passwd", "p/a../b", "p//x", "p/ok", "p/",
				"q/x", "p/a\\b"), "true", "false", 1))
		}))
		defer srv.Close()
		cfg := patient
		cfg.Keys = store.Keys{ID: "a", Secret: "b"}
		all := list(t, open(t, "s3://bucket/p?endpoint="+srv.URL, cfg), "")
		if fmt.Sprint(all) != "[{ok 3}]" {
			t.Errorf("lists %v", all)
		}
	})
}
