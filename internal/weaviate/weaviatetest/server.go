// Package weaviatetest runs a real Weaviate server for tests, the one that scripts/weaviate.sh
// builds.
package weaviatetest

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"avjepa/internal/testserver"
)

// Server is a Weaviate server of one test, with nothing in it. It listens on 127.0.0.1 and
// tells nobody of itself.
type Server struct {
	URL string // http://127.0.0.1:port
	Key string // empty: anybody may do anything

	t       testing.TB
	program *testserver.Server
	ports   ports
}

// New starts a server that wants the key, if there is one, and ends with the test. Without the
// program the test is skipped, or fails when AVJEPA_REQUIRE lists weaviate.
func New(t testing.TB, key string) *Server {
	t.Helper()
	s := &Server{Key: key, t: t, program: testserver.New(t, "weaviate", "scripts/weaviate.sh")}
	var err error
	if s.ports, err = freePorts(); err != nil {
		t.Fatal(err)
	}
	s.URL = fmt.Sprintf("http://127.0.0.1:%d", s.ports.rest)
	s.Start()
	return s
}

// ports are those a server listens on: it wants data behind gossip, and raft's calls behind raft.
type ports struct{ rest, grpc, gossip, raft int }

// freePorts returns ports on which nothing listens at the moment.
func freePorts() (p ports, err error) {
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	listen := func(port int) (int, error) {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return 0, err
		}
		open = append(open, l)
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	for _, port := range []*int{&p.rest, &p.grpc} {
		if *port, err = listen(0); err != nil {
			return p, err
		}
	}
	for _, port := range []*int{&p.gossip, &p.raft} {
		for range 20 { // until one has a free one behind it
			if *port, err = listen(0); err == nil {
				_, err = listen(*port + 1)
			}
			if err == nil {
				break
			}
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// environment is how the server is told what to be. It gets nothing of the test's own.
func (s *Server) environment() []string {
	env := []string{
		"PERSISTENCE_DATA_PATH=" + filepath.Join(s.program.Dir, "data"),
		"HOME=" + s.program.Dir,
		"DISABLE_TELEMETRY=true",
		"DEFAULT_VECTORIZER_MODULE=none",
		"LOG_LEVEL=warning",
		"GO_PROFILING_DISABLE=true",
		"DISK_USE_WARNING_PERCENTAGE=100", // the disk is not the test's business
		"DISK_USE_READONLY_PERCENTAGE=100",
		fmt.Sprintf("GRPC_PORT=%d", s.ports.grpc),
		"CLUSTER_HOSTNAME=node1",
		"CLUSTER_IN_LOCALHOST=true",
		"CLUSTER_BIND_ADDR=127.0.0.1",
		"CLUSTER_ADVERTISE_ADDR=127.0.0.1",
		fmt.Sprintf("CLUSTER_GOSSIP_BIND_PORT=%d", s.ports.gossip),
		fmt.Sprintf("CLUSTER_DATA_BIND_PORT=%d", s.ports.gossip+1),
		fmt.Sprintf("RAFT_PORT=%d", s.ports.raft),
		fmt.Sprintf("RAFT_INTERNAL_RPC_PORT=%d", s.ports.raft+1),
		fmt.Sprintf("RAFT_JOIN=node1:%d", s.ports.raft),
		"RAFT_BOOTSTRAP_EXPECT=1",
	}
	if s.Key == "" {
		return append(env, "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=true")
	}
	return append(env, "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=false", "AUTHENTICATION_APIKEY_ENABLED=true",
		"AUTHENTICATION_APIKEY_ALLOWED_KEYS="+s.Key, "AUTHENTICATION_APIKEY_USERS=tester",
		"AUTHORIZATION_ADMINLIST_ENABLED=true", "AUTHORIZATION_ADMINLIST_USERS=tester")
}

// Start starts the server, at the same address as ever and on the data that it left, and waits
// until it answers.
func (s *Server) Start() {
	s.t.Helper()
	c := exec.Command(s.program.Binary, "--scheme", "http", "--host", "127.0.0.1",
		"--port", fmt.Sprint(s.ports.rest))
	c.Env = s.environment()
	s.program.Start(c, s.URL+"/v1/.well-known/ready")
}

// Kill ends the server at once, whatever it does, and waits until it is gone.
func (s *Server) Kill() { s.program.Kill() }
