// Package testserver runs programs of bin/ as servers of a test: real ones, which scripts
// of this repository build.
//
//	s := testserver.New(t, "weaviate", "scripts/weaviate.sh")
//	s.Start(exec.Command(s.Binary, "--port", "8080"), "http://127.0.0.1:8080/ready")
package testserver

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// startTime bounds how long a server may take until it answers: machines that do other work
// are slow.
const startTime = 90 * time.Second

// Server is a program that runs for one test, or does not run at the moment.
type Server struct {
	Binary string
	Dir    string // empty at first; for what the program keeps

	name    string
	t       testing.TB
	log     *os.File
	mu      sync.Mutex
	process *exec.Cmd     // nil when stopped
	gone    chan struct{} // closed when the process has ended
}

// New finds the program in bin/ of the repository that the test is in. Without it the test is
// skipped, or fails when AVJEPA_REQUIRE lists what the tests need: the script's name.
func New(t testing.TB, program, script string) *Server {
	t.Helper()
	binary, err := find(program)
	if err != nil {
		err = fmt.Errorf("no %s in bin/: %s builds it", program, script)
		need := strings.TrimSuffix(filepath.Base(script), ".sh")
		if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), need) {
			t.Fatalf("AVJEPA_REQUIRE has %s: %v", need, err)
		}
		t.Skip(err)
	}
	s := &Server{Binary: binary, Dir: t.TempDir(), name: program, t: t}
	if s.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		s.log.Close()
	})
	return s
}

func find(program string) (string, error) {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		binary := filepath.Join(dir, "bin", program)
		if _, err := os.Stat(binary); err == nil {
			return binary, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", os.ErrNotExist
}

// Start runs the command, which gets nothing of the test's environment but what it has, and
// waits until a GET of the URL is answered with a status below 500.
func (s *Server) Start(c *exec.Cmd, url string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.t.Fatalf("%s runs already", s.name)
	}
	if c.Env == nil {
		c.Env = []string{}
	}
	c.Dir, c.Stdout, c.Stderr, c.SysProcAttr = s.Dir, s.log, s.log, attributes()
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.process, s.gone = c, make(chan struct{})
	go func(gone chan struct{}) {
		c.Wait()
		close(gone)
	}(s.gone)
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	why := fmt.Sprintf("does not answer within %v", startTime)
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		resp, err := client.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode < http.StatusInternalServerError {
				return
			}
		}
		select {
		case <-s.gone:
			why, end = "ended", time.Time{}
		case <-time.After(10 * time.Millisecond):
		}
	}
	text, _ := os.ReadFile(s.log.Name())
	s.t.Fatalf("%s %s: %s", s.name, why, text[max(0, len(text)-4000):])
}

// Kill ends the server at once, whatever it does, and waits until it is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Process.Kill()
		<-s.gone
		s.process = nil
	}
}
