// Package storetest runs a real S3 server for tests: versitygw, which scripts/s3.sh
// builds.
package storetest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avjepa/internal/store"
	"avjepa/internal/testserver"
)

// Server is an S3 server of one test, with an empty bucket.
type Server struct {
	Endpoint string     // http://127.0.0.1:port
	Bucket   string     // there
	Keys     store.Keys // may do anything

	t       testing.TB
	program *testserver.Server
}

// S3 starts a server, which ends with the test. Without the program the test is skipped,
// or fails when AVJEPA_REQUIRE lists s3.
func S3(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, program: testserver.New(t, "versitygw", "scripts/s3.sh"), Bucket: "bucket",
		Keys: store.Keys{ID: "test-id", Secret: "test-secret"}}
	for _, d := range []string{s.data(), s.meta(), filepath.Join(s.data(), s.Bucket)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = "http://" + l.Addr().String()
	l.Close()
	s.Start()
	return s
}

func (s *Server) data() string { return filepath.Join(s.program.Dir, "data") }
func (s *Server) meta() string { return filepath.Join(s.program.Dir, "meta") }

// Location returns the location of a prefix in the bucket.
func (s *Server) Location(prefix string) string {
	return "s3://" + s.Bucket + "/" + prefix + "?endpoint=" + s.Endpoint
}

// File returns the file that the server keeps an object's bytes in.
func (s *Server) File(key string) string { return filepath.Join(s.data(), s.Bucket, key) }

// Start starts the server, at the same address as ever, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.program.Start(exec.Command(s.program.Binary, "--port", strings.TrimPrefix(s.Endpoint, "http://"),
		"--access", s.Keys.ID, "--secret", s.Keys.Secret, "--keep-alive", "--quiet",
		"posix", "--sidecar", s.meta(), s.data()), s.Endpoint+"/")
}

// Kill ends the server at once, whatever it does, and waits until it is gone.
func (s *Server) Kill() { s.program.Kill() }

// Restart kills the server and starts it again after a while.
func (s *Server) Restart(after time.Duration) {
	s.t.Helper()
	s.Kill()
	time.Sleep(after)
	s.Start()
}
