package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"avjepa/internal/store"
)

// object answers as a server does that has one file.
func object(b []byte, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

// endless sends zeros until the client has had enough.
func endless(w http.ResponseWriter) {
	for zeros := make([]byte, 64<<10); ; {
		if _, err := w.Write(zeros); err != nil {
			return
		}
	}
}

// TestHostileServers asks 1000 bytes at 500 of servers that do not behave.
func TestHostileServers(t *testing.T) {
	want := content(1, 4000)
	part := func(w http.ResponseWriter) { // the header of a right answer
		w.Header().Set("Content-Range", "bytes 500-1499/4000")
		w.WriteHeader(http.StatusPartialContent)
	}
	cases := map[string]struct {
		handle http.HandlerFunc
		is     error
		text   string
		waits  bool // only when the time is over
	}{
		"ignores ranges": {func(w http.ResponseWriter, r *http.Request) { w.Write(want) },
			store.ErrServer, "ignores the Range", false},
		"ignores ranges of an endless body": {func(w http.ResponseWriter, r *http.Request) { endless(w) },
			store.ErrServer, "ignores the Range", false},
		"another range": {func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", "bytes=501-1500")
			object(want, "")(w, r)
		}, store.ErrServer, "bytes 501-1500/4000", false},
		"no range": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
		}, store.ErrServer, "ignores the Range", false},
		"nonsense for a range": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 500-1499/*")
			w.WriteHeader(http.StatusPartialContent)
		}, store.ErrServer, "bytes 500-1499/*", false},
		"longer than its range": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1001")
			part(w)
		}, store.ErrServer, "announces 1001 bytes", false},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			part(w)
			endless(w)
		}, store.ErrServer, "more than the 1000 bytes", false},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			part(w)
		}, store.ErrServer, `"gzip"`, false},
		"file:": {redirect("file:///etc/passwd"), store.ErrServer, "not followed", false},
		"ftp:":  {redirect("ftp://127.0.0.1/x"), store.ErrServer, "not followed", false},
		"loop":  {redirect("/x"), store.ErrServer, "more than 5 times", false},
		"huge header": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, nil, "headers exceeded 65536", false},
		"no HTTP":         {hijacked("SSH-2.0-OpenSSH_9.2\r\n"), nil, "malformed HTTP", false},
		"forbidden":       {status(403), store.ErrPermission, "403", false},
		"missing":         {status(404), store.ErrNotExist, "404", false},
		"not implemented": {status(501), nil, "501", false},
		"teapot":          {status(418), nil, "418", false},

		"breaks off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			part(w)
			w.Write(want[500:600])
		}, store.ErrNoAnswer, "after 100 of 1000 bytes", true},
		"closes": {hijacked(""), store.ErrNoAnswer, "EOF", true},
		"silent": {func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, store.ErrNoAnswer, "no answer in time", true},
		"drips": {func(w http.ResponseWriter, r *http.Request) {
			part(w)
			for r.Context().Err() == nil {
				w.Write([]byte{1})
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, store.ErrNoAnswer, "no answer in time", true},
		"endless error": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			endless(w)
		}, store.ErrNoAnswer, "500", true},
		"busy":      {status(503), store.ErrNoAnswer, "503", true},
		"throttles": {status(429), store.ErrNoAnswer, "429", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(c.handle)
			defer srv.Close()
			var retries atomic.Int64
			cfg := patient
			if c.waits {
				cfg = brief
			}
			cfg.OnRetry = func(store.Retry) { retries.Add(1) }
			s, begun := open(t, srv.URL, cfg), time.Now()
			err := s.ReadAt(t.Context(), "x", make([]byte, 1000), 500)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) ||
				!strings.Contains(err.Error(), srv.URL) || strings.Count(err.Error(), "x") > 40 {
				t.Errorf("error %v, want one with %q that is %v", err, c.text, c.is)
			}
			if d := time.Since(begun); d > 9*time.Second || c.waits != (retries.Load() > 0) {
				t.Errorf("took %v and %d retries", d, retries.Load())
			}
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

// hijacked answers with text instead of HTTP, and closes.
func hijacked(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(c, text)
			c.Close()
		}
	}
}

// TestTrouble is with servers that get better: no error is seen.
func TestTrouble(t *testing.T) {
	want := content(2, 300_000)
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 5 {
		case 1:
			w.WriteHeader(503)
		case 2:
			hijacked("")(w, r)
		case 3: // a little more each time
			first, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
			off, _ := strconv.Atoi(first)
			w.Header().Set("ETag", "1")
			w.Header().Set("Content-Length", strconv.Itoa(len(want)-off))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, len(want)-1, len(want)))
			if r.Method == http.MethodGet {
				w.WriteHeader(http.StatusPartialContent)
				w.Write(want[off : off+min(70_000, len(want)-off)])
			}
		case 4:
			http.Redirect(w, r, "/elsewhere"+r.URL.Path, http.StatusTemporaryRedirect)
		default:
			object(want, "1")(w, r)
			if off := r.Header.Get("Range"); off == "bytes=70000-299999" {
				n.Store(0)
			}
		}
	}))
	defer srv.Close()
	s := open(t, srv.URL, store.Config{Timeout: 5 * time.Second})
	if got, err := readAll(t.Context(), s, "x"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes, or others: %v", len(got), len(want), err)
	}
	if n.Load() < 5 {
		t.Errorf("only %d requests", n.Load())
	}
}

// TestConnectionsAreKept has 16 readers make 320 requests by few connections: more than
// 16 when one is freed while another is being made.
func TestConnectionsAreKept(t *testing.T) {
	var made atomic.Int64
	srv := httptest.NewUnstartedServer(object(content(1, 100_000), ""))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	s := open(t, srv.URL, store.Config{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if err := s.ReadAt(t.Context(), "x", make([]byte, 10_000), 77); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n > 64 {
		t.Errorf("16 readers made %d connections", n)
	}
}

// TestChanged replaces a file after a reader has begun, and the connection breaks.
func TestChanged(t *testing.T) {
	old, other := content(1, 300_000), content(2, 300_000)
	for name, next := range map[string]http.HandlerFunc{
		"bytes": object(other, `"2"`), "size": object(other[:299_999], `"1"`),
		"shorter": object(other[:3], `"1"`),
	} {
		var gets atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodHead:
				object(old, `"1"`)(w, r)
			case gets.Add(1) == 1:
				w.Header().Set("ETag", `"1"`)
				w.Header().Set("Content-Length", "300000")
				w.Header().Set("Content-Range", "bytes 0-299999/300000")
				w.WriteHeader(http.StatusPartialContent)
				w.Write(old[:100_000])
			default:
				next(w, r)
			}
		}))
		got, err := readAll(t.Context(), open(t, srv.URL, patient), "x")
		isError(t, name, err, store.ErrChanged)
		if !bytes.Equal(got, old[:len(got)]) {
			t.Errorf("%s: bytes of both", name)
		}
		srv.Close()
	}
}

// TestServersWithoutHEAD are asked for the first byte.
func TestServersWithoutHEAD(t *testing.T) {
	for _, n := range []int{0, 1, 1000} {
		want := content(1, n)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodHead:
				w.WriteHeader(http.StatusMethodNotAllowed)
			case n == 0:
				w.Header().Set("Content-Range", "bytes */0")
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			default:
				object(want, "")(w, r)
			}
		}))
		if got, err := readAll(t.Context(), open(t, srv.URL, patient), "x"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d of %d bytes: %v", len(got), n, err)
		}
		srv.Close()
	}
}

// TestSecrets keeps what a location has of them out of messages, and in requests.
func TestSecrets(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" || r.URL.RawQuery != "sig=secret" {
			t.Errorf("%s without its secrets", r.URL)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	host := strings.TrimPrefix(srv.URL, "http://")
	s := open(t, "http://me:secret@"+host+"/x?sig=secret", brief)
	for _, want := range []error{store.ErrPermission, store.ErrNoAnswer} {
		_, err := s.Size(t.Context(), "y")
		isError(t, "a refused request", err, want)
		if err != nil && (strings.Contains(err.Error(), "secret") ||
			!strings.Contains(err.Error(), srv.URL+"/x/y?…: ")) {
			t.Errorf("error %q", err)
		}
		srv.Close()
	}
}

func TestTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(status(200))
	secure.Config.ErrorLog = silent
	secure.StartTLS()
	defer secure.Close()
	open200 := httptest.NewServer(status(200))
	defer open200.Close()
	cfg := store.Config{Keys: store.Keys{ID: "a", Secret: "b"}} // and 5 minutes
	for _, location := range []string{secure.URL, strings.Replace(open200.URL, "http:", "https:", 1),
		"s3://bucket?endpoint=" + secure.URL} {
		begun := time.Now()
		_, err := open(t, location, cfg).Size(t.Context(), "x")
		if err == nil || !strings.Contains(err.Error(), "certificate") || time.Since(begun) > 20*time.Second {
			t.Errorf("%s: %v", location, err)
		}
	}
}
