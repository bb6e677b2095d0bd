// Package storetest runs a real S3 server for tests: versitygw, which scripts/s3.sh
// builds.
package storetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"avjepa/internal/store"
)

// Server is an S3 server of one test, with an empty bucket.
type Server struct {
	Endpoint string     // http://127.0.0.1:port
	Bucket   string     // there
	Keys     store.Keys // may do anything

	binary, dir string
	t           testing.TB
	mu          sync.Mutex
	process     *exec.Cmd // nil when stopped
	log         *os.File
}

// S3 starts a server, which ends with the test. Without the program the test is skipped,
// or fails when AVJEPA_REQUIRE lists s3.
func S3(t testing.TB) *Server {
	t.Helper()
	binary, err := find()
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "s3") {
			t.Fatalf("AVJEPA_REQUIRE has s3: %v", err)
		}
		t.Skip(err)
	}
	s := &Server{binary: binary, dir: t.TempDir(), t: t, Bucket: "bucket",
		Keys: store.Keys{ID: "test-id", Secret: "test-secret"}}
	for _, d := range []string{s.data(), s.meta(), filepath.Join(s.data(), s.Bucket)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = "http://" + l.Addr().String()
	l.Close()
	t.Cleanup(func() {
		s.Kill()
		s.log.Close()
	})
	s.Start()
	return s
}

// find returns bin/versitygw of the repository that the test is in.
func find() (string, error) {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		binary := filepath.Join(dir, "bin", "versitygw")
		if _, err := os.Stat(binary); err == nil {
			return binary, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", fmt.Errorf("no S3 server in bin/: scripts/s3.sh builds it")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) meta() string { return filepath.Join(s.dir, "meta") }

// Location returns the location of a prefix in the bucket.
func (s *Server) Location(prefix string) string {
	return "s3://" + s.Bucket + "/" + prefix + "?endpoint=" + s.Endpoint
}

// File returns the file that the server keeps an object's bytes in.
func (s *Server) File(key string) string { return filepath.Join(s.data(), s.Bucket, key) }

// Start starts the server, at the same address as ever, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.t.Fatal("the S3 server runs already")
	}
	c := exec.Command(s.binary, "--port", strings.TrimPrefix(s.Endpoint, "http://"),
		"--access", s.Keys.ID, "--secret", s.Keys.Secret, "--keep-alive", "--quiet",
		"posix", "--sidecar", s.meta(), s.data())
	c.Env = []string{}
	c.Stdout, c.Stderr = s.log, s.log
	c.SysProcAttr = attributes()
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.process = c
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		resp, err := http.Get(s.Endpoint + "/")
		if err == nil {
			resp.Body.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	text, _ := os.ReadFile(s.log.Name())
	s.t.Fatalf("the S3 server does not answer: %s", text)
}

// Kill ends the server at once, whatever it does, and waits until it is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}

// Restart kills the server and starts it again after a while.
func (s *Server) Restart(after time.Duration) {
	s.t.Helper()
	s.Kill()
	time.Sleep(after)
	s.Start()
}
