package collective

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// FuzzEnviron: a place that is accepted lies within its sizes; what is refused is
// refused with the name of a variable. A Slurm list gives a sane number or none.
func FuzzEnviron(f *testing.F) {
	f.Add("RANK=1\nWORLD_SIZE=4\nMASTER_ADDR=a\nMASTER_PORT=1234", 0)
	f.Add("RANK=1\nWORLD_SIZE=4\nLOCAL_RANK=1\nLOCAL_WORLD_SIZE=2\nMASTER_ADDR=a\nMASTER_PORT=1", 0)
	f.Add("SLURM_PROCID=9\nSLURM_NTASKS=10\nSLURM_LOCALID=1\nSLURM_NODEID=2\n"+
		"SLURM_STEP_TASKS_PER_NODE=4(x2),2\nMASTER_ADDR=a\nMASTER_PORT=1", 2)
	f.Add("1(x9223372036854775807),2", 1)
	f.Fuzz(func(t *testing.T, text string, node int) {
		p, err := FromEnviron(from(strings.Split(text, "\n")...))
		if err == nil && (p.Size < 1 || p.Size > maxSize || p.Rank < 0 || p.Rank >= p.Size ||
			p.LocalSize < 1 || p.LocalSize > maxSize || p.LocalRank < 0 ||
			p.LocalRank >= p.LocalSize || p.Size > 1 && (p.Master == "" || p.Port < 1)) {
			t.Errorf("%q gives %+v", text, p)
		}
		if err != nil && !strings.Contains(err.Error(), "_") && !strings.Contains(err.Error(), "RANK") {
			t.Errorf("error %v names no variable", err)
		}
		n, err := tasksOfNode(text, node)
		if err == nil && node >= 0 && (n < 1 || n > maxSize) {
			t.Errorf("%d tasks on machine %d of %q", n, node, text)
		}
	})
}

// said is a connection on which a stranger has said something.
type said struct {
	net.Conn // nil: whatever is not overridden must not be called
	text     io.Reader
	answer   bytes.Buffer
}

func (s *said) Read(b []byte) (int, error)       { return s.text.Read(b) }
func (s *said) Write(b []byte) (int, error)      { return s.answer.Write(b) }
func (s *said) SetReadDeadline(time.Time) error  { return nil }
func (s *said) SetWriteDeadline(time.Time) error { return nil }

// FuzzLines: whatever a stranger says to process 0, it joins only with the token
// and a free rank of the group, is answered in one line at most, and leaves nothing
// of itself behind otherwise.
func FuzzLines(f *testing.F) {
	const token = "t0ken"
	f.Add([]byte("avjepa-watch t0ken 2 4 host\nbeat\n"))
	f.Add([]byte("avjepa-watch t0ken 0 4 host\n"))
	f.Add([]byte("avjepa-watch t0ken 1 5 host\n"))
	f.Add([]byte("avjepa-watch wrong 1 4 host\n"))
	f.Add([]byte("lost 1 host why\n\nfail \xff\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &server{Watch: newWatch(WatchConfig{Token: token, Size: 4, Host: "zero"}.withDefaults()),
			links: map[int]*link{}, arrived: make(chan struct{}), refuse: make(chan struct{})}
		conn := &said{text: bytes.NewReader(text)}
		l := newLink(conn)
		rank, host, ok := s.greet(l)
		line, _, _ := strings.Cut(string(text), "\n")
		words := strings.Fields(line)
		switch {
		case !ok && len(s.links) > 0:
			t.Fatalf("%q was refused and kept", line)
		case ok && (rank < 1 || rank > 3 || s.links[rank] != l || len(words) != 5 ||
			words[1] != token || words[4] != host):
			t.Fatalf("%q joined as rank %d on %q", line, rank, host)
		case !ok && s.unfit == nil && conn.answer.Len() > 0:
			t.Fatalf("%q was answered %q", line, conn.answer.String())
		case bytes.Count(conn.answer.Bytes(), []byte("\n")) > 1 || conn.answer.Len() > 2*maxLine:
			t.Fatalf("the answer is %q", conn.answer.String())
		}
		if rank, host, why, err := lostRest(line); err == nil {
			if again := fmt.Sprint(rank, " ", host, " ", why); !strings.HasSuffix(again,
				" "+host+" "+why) || strings.Contains(host, " ") {
				t.Fatalf("%q is read as %q", line, again)
			}
		}
		for i := 0; ; i++ { // what follows
			word, rest, err := l.read(time.Second)
			if err != nil {
				break
			}
			if len(word)+len(rest) > maxLine || strings.Contains(rest, "\n") || i > len(text) {
				t.Fatalf("line %d is %q %q", i, word, rest)
			}
		}
	})
}
