//go:build unix

package collective

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/torch"
	"avjepa/internal/engine/torch/shim/shimtest"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// A process of a test is this test binary again, with a role.
const roleVariable = "COLLECTIVE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// play is the main function of a process of a test.
func play(role string) int {
	err := roles[role]()
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, engine.ErrLost) {
		return 14
	}
	return 1
}

var roles = map[string]func() error{"values": values, "sum": sumForever, "meet": meet,
	"fail": failAlone, "late": late, "wait": waitForFirst}

// enter opens the processes as the environment says.
func enter() (*Processes, error) {
	place, err := FromEnviron(os.Getenv)
	if err != nil {
		return nil, err
	}
	timeout, err := time.ParseDuration(os.Getenv("TEST_TIMEOUT"))
	if err != nil {
		return nil, err
	}
	return Open(context.Background(), Config{Place: place, Library: os.Getenv("TEST_LIBRARY"),
		Host: "host" + strconv.Itoa(place.Rank), Timeout: timeout, Every: 100 * time.Millisecond,
		Silence: 2 * time.Second})
}

// enterWithEngine also opens an engine and the group.
func enterWithEngine() (p *Processes, e engine.Engine, g engine.Group, err error) {
	if p, err = enter(); err != nil {
		return nil, nil, nil, err
	}
	if os.Getenv("TEST_ENGINE") == "torch" {
		e, err = torch.New(torch.Config{Library: os.Getenv("TEST_LIBRARY"), Threads: 1})
	} else {
		e, err = cpu.New(cpu.Config{Threads: 1})
	}
	if err != nil {
		return nil, nil, nil, err
	}
	g, err = p.Group(e)
	return p, e, g, err
}

// numbers returns the values that a rank gives to a sum.
func numbers(rank, n int) []float32 {
	x := make([]float32, n)
	rng.New(7, "rank", rank).FillNormal(x, 1)
	return x
}

// lengths are those of the sums of values: one element, less than one each, a prime,
// and one that takes a while.
var lengths = []int{1, 3, 10007, 1 << 17}

// values averages, broadcasts and exchanges, compares with what is right, and prints
// a hash of the averages' bits.
func values() error {
	p, e, g, err := enterWithEngine()
	if err != nil {
		return err
	}
	all := 0
	for _, n := range lengths {
		all += n
	}
	buf, err := e.NewBuffer(engine.F32, all+8)
	if err != nil {
		return err
	}
	hash := sha256.New()
	for round := range 2 { // the second one must give the same bits again
		hash.Reset()
		off := 0
		var xs []engine.Tensor
		for _, n := range lengths {
			x := engine.NewTensor(buf, off, tensor.Of(n))
			e.Upload(x, numbers(p.Rank, n))
			g.Average(x)
			xs = append(xs, x)
			off += n
		}
		// While they are summed the engine works on something else.
		other := engine.NewTensor(buf, off, tensor.Of(2, 4))
		e.Fill(other, float32(p.Rank+round))
		g.Wait()
		for i, n := range lengths {
			want := make([]float64, n)
			for r := range p.Size {
				for j, v := range numbers(r, n) {
					want[j] += float64(v) / float64(p.Size)
				}
			}
			got := make([]float32, n)
			e.Download(got, xs[i])
			for j, v := range got {
				if !(math.Abs(float64(v)-want[j]) <= 1e-6) {
					return fmt.Errorf("element %d of %d is %v, want %v", j, n, v, want[j])
				}
			}
			binary.Write(hash, binary.LittleEndian, got)
		}
		// A part of a tensor alone is broadcast.
		g.Broadcast(other.Slice(1, 2))
		got := make([]float32, 8)
		e.Download(got, other)
		mine, first := float32(p.Rank+round), float32(round)
		for j, v := range got {
			if want := []float32{mine, first}[j/4]; v != want {
				return fmt.Errorf("broadcast: element %d is %v, want %v", j, v, want)
			}
		}
	}
	for _, unit := range []int{0, 1, 3000} { // all empty; one empty, the others of unequal lengths
		got, err := g.Exchange(bytes.Repeat([]byte{byte(p.Rank)}, unit*p.Rank))
		if err != nil {
			return err
		}
		for r, b := range got {
			if !bytes.Equal(b, bytes.Repeat([]byte{byte(r)}, unit*r)) {
				return fmt.Errorf("exchange: %d bytes of rank %d, want %d", len(b), r, unit*r)
			}
		}
		if len(got) != p.Size {
			return fmt.Errorf("exchange: %d ranks of %d", len(got), p.Size)
		}
	}
	config, err := p.FromFirst("config", fmt.Appendf(nil, "of rank %d", p.Rank))
	if err != nil || string(config) != "of rank 0" {
		return fmt.Errorf("process 0's bytes are %q, %v", config, err)
	}
	if g.Rank() != p.Rank || g.Size() != p.Size || g.Err() != nil {
		return fmt.Errorf("rank %d of %d: %w", g.Rank(), g.Size(), g.Err())
	}
	fmt.Printf("%x\n", hash.Sum(nil))
	p.Close(nil)
	return e.Close()
}

// sumForever sums until that is an error.
func sumForever() error {
	p, e, g, err := enterWithEngine()
	if err != nil {
		return err
	}
	buf, err := e.NewBuffer(engine.F32, 1<<20)
	if err != nil {
		return err
	}
	x := engine.NewTensor(buf, 0, tensor.Of(1<<20))
	for n := 0; g.Err() == nil; n++ {
		if n == 3 {
			fmt.Println("summing")
		}
		g.Average(x)
		done := make(chan struct{})
		go func() { g.Wait(); close(done) }()
		select {
		case <-done:
		case <-p.Lost(): // while the sum hangs
			err := p.Err()
			p.Close(err)
			return err
		}
	}
	if _, err := g.Exchange(nil); !errors.Is(err, engine.ErrLost) {
		return fmt.Errorf("an exchange after a fault: %w", err)
	}
	p.Close(g.Err())
	return g.Err()
}

// late begins a sum half a second later in process 1: the others' engine works on in
// the meantime, and Wait waits.
func late() error {
	p, e, g, err := enterWithEngine()
	if err != nil {
		return err
	}
	buf, err := e.NewBuffer(engine.F32, 1<<16)
	if err != nil {
		return err
	}
	x, y := engine.NewTensor(buf, 0, tensor.Of(1<<15)), engine.NewTensor(buf, 1<<15, tensor.Of(1<<15))
	e.Fill(x, float32(p.Rank))
	g.Broadcast(y) // all stand here
	start := time.Now()
	if p.Rank == 1 {
		time.Sleep(500 * time.Millisecond)
	}
	g.Average(x)
	for range 10 {
		e.Scale(y, 0.5)
	}
	if err := e.Sync(); err != nil {
		return err
	}
	if d := time.Since(start); p.Rank != 1 && !(d < 400*time.Millisecond) {
		return fmt.Errorf("a sum kept the engine from working for %v", d)
	}
	g.Wait()
	if d := time.Since(start); p.Rank != 1 && !(d > 400*time.Millisecond) {
		return fmt.Errorf("a sum was complete after %v, without process 1", d)
	}
	p.Close(nil)
	return g.Err()
}

// meet opens and closes.
func meet() error {
	p, err := enter()
	if err == nil {
		p.Close(nil)
	}
	return err
}

// waitForFirst waits for what process 0 does not say: it leaves, with an error or
// without.
func waitForFirst() error {
	p, err := enter()
	if err != nil {
		return err
	}
	if p.Rank > 0 {
		_, err = p.FromFirst("config", nil)
		if p.Close(nil); errors.Is(err, ErrLeft) {
			fmt.Fprintln(os.Stderr, err)
			return nil
		}
		return err
	}
	if text := os.Getenv("TEST_ERROR"); text != "" {
		err = errors.New(text)
	}
	p.Close(err)
	return nil
}

// failAlone is sumForever, but rank 1 ends with an error of its own.
func failAlone() error {
	if os.Getenv("RANK") != "1" {
		return sumForever()
	}
	p, _, _, err := enterWithEngine()
	if err != nil {
		return err
	}
	p.Close(errors.New("no space left on device"))
	return nil
}

// process is one that a test has started.
type process struct {
	*exec.Cmd
	out, errs output
	ended     chan struct{}
	took      time.Duration
}

// output is text that may be read while it is written.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// freePort returns a port that nobody listens to.
func freePort(t *testing.T) int {
	t.Helper()
	l := listener(t)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startAs starts a process in a role, after a command such as ip netns exec.
func startAs(t *testing.T, role string, before []string, env ...string) *process {
	t.Helper()
	args := append(before, os.Args[0])
	p := &process{Cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), roleVariable+"="+role, "TEST_LIBRARY="+shimtest.Library(t))
	p.Env = append(p.Env, env...)
	p.Stdout, p.Stderr = &p.out, &p.errs
	start := time.Now()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		p.took = time.Since(start)
		close(p.ended)
	}()
	t.Cleanup(func() { p.Process.Kill(); <-p.ended })
	return p
}

// place is the environment of a process.
func place(rank, size, port int, more ...string) []string {
	return append([]string{fmt.Sprint("RANK=", rank), fmt.Sprint("WORLD_SIZE=", size),
		"MASTER_ADDR=127.0.0.1", fmt.Sprint("MASTER_PORT=", port), "TEST_TIMEOUT=20s",
		fmt.Sprint("LOCAL_RANK=", rank), fmt.Sprint("LOCAL_WORLD_SIZE=", size)}, more...)
}

// start starts all processes in one role.
func start(t *testing.T, size int, role string, env ...string) []*process {
	t.Helper()
	port := freePort(t)
	var all []*process
	for rank := range size {
		all = append(all, startAs(t, role, nil, place(rank, size, port, env...)...))
	}
	return all
}

// ends waits for a process and checks its exit code and what it said.
func (p *process) ends(t *testing.T, within time.Duration, code int, texts ...string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Errorf("process %v has not ended within %v", p.Env[len(p.Env)-1], within)
		return
	}
	if got := p.ProcessState.ExitCode(); got != code {
		t.Errorf("%v, want exit status %d: %s", p.ProcessState, code, p.errs.String())
	}
	for _, text := range texts {
		if !strings.Contains(p.errs.String(), text) {
			t.Errorf("stderr lacks %q: %s", text, p.errs.String())
		}
	}
}

// sameBits checks that values has printed the same hash in all processes, as its last
// line: libraries may print others.
func sameBits(t *testing.T, all []*process) {
	t.Helper()
	var hashes []string
	for _, p := range all {
		lines := strings.Fields(p.out.String())
		if len(lines) == 0 {
			t.Fatalf("a process has printed nothing: %s", p.errs.String())
		}
		hashes = append(hashes, lines[len(lines)-1])
	}
	for rank, h := range hashes {
		if h != hashes[0] || len(h) != 2*sha256.Size {
			t.Errorf("rank %d has the bits %s, rank 0 %s", rank, h, hashes[0])
		}
	}
}
