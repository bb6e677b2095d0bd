package collective

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"avjepa/internal/engine"
)

// quick is a watch for tests; the real one is ten times as patient.
func quick(rank, size int) WatchConfig {
	return WatchConfig{Rank: rank, Size: size, Host: fmt.Sprintf("host%d", rank), Token: "secret",
		Every: 50 * time.Millisecond, Silence: time.Second, Start: 5 * time.Second}
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// watches returns the joined watches of all ranks; those of absent ones are nil.
func watches(t *testing.T, size int, absent ...int) []*Watch {
	t.Helper()
	ln := listener(t)
	all := make([]*Watch, size)
	var wg sync.WaitGroup
	for rank := range size {
		skip := false
		for _, a := range absent {
			skip = skip || a == rank
		}
		if skip {
			continue
		}
		wg.Go(func() {
			var err error
			if rank == 0 {
				all[0], err = Serve(ln, quick(0, size))
			} else {
				all[rank], err = Join(ln.Addr().String(), quick(rank, size))
			}
			if err != nil {
				t.Errorf("rank %d: %v", rank, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// wantLoss waits until every given watch has lost a rank for a reason.
func wantLoss(t *testing.T, ws []*Watch, rank int, why string) {
	t.Helper()
	for i, w := range ws {
		if w == nil {
			continue
		}
		select {
		case <-w.Lost():
		case <-time.After(3 * time.Second):
			t.Errorf("process %d has not noticed", i)
			continue
		}
		var loss *Loss
		err := w.Err()
		if !errors.As(err, &loss) || loss.Rank != rank || !strings.Contains(err.Error(), why) ||
			loss.Host != fmt.Sprintf("host%d", rank) || !errors.Is(err, engine.ErrLost) {
			t.Errorf("process %d: %v; want rank %d, %s", i, err, rank, why)
		}
	}
}

func closeAll(ws []*Watch) {
	var wg sync.WaitGroup
	for _, w := range ws {
		if w != nil {
			wg.Go(func() { w.Close(nil) })
		}
	}
	wg.Wait()
}

func TestGoodbye(t *testing.T) {
	t.Parallel()
	ws := watches(t, 4)
	ws[2].Close(nil)
	time.Sleep(1500 * time.Millisecond) // longer than Silence
	for i, w := range ws {
		if w.Err() != nil {
			t.Errorf("process %d: %v", i, w.Err())
		}
	}
	start := time.Now()
	closeAll(ws)
	if d := time.Since(start); !(d < time.Second) {
		t.Errorf("saying goodbye took %v", d)
	}
	for i, w := range ws {
		if w.Err() != nil {
			t.Errorf("process %d after the end: %v", i, w.Err())
		}
	}
}

func TestOwnErrorIsTold(t *testing.T) {
	t.Parallel()
	for _, rank := range []int{0, 2} {
		ws := watches(t, 3)
		ws[rank].Close(errors.New("no space left\non \x1b[2J" + strings.Repeat("…", 5000)))
		others := append(append([]*Watch{}, ws[:rank]...), ws[rank+1:]...)
		wantLoss(t, others, rank, "ended with an error (no space left on  [2J…")
		for _, w := range others {
			if n := len(w.Err().Error()); n > 2*maxText {
				t.Errorf("an error of %d bytes", n)
			}
		}
		closeAll(others)
	}
}

// broken gives the others the end of a process without a goodbye.
func broken(t *testing.T, size, rank int) ([]*Watch, net.Conn) {
	t.Helper()
	ln := listener(t)
	all := make([]*Watch, size)
	var conn net.Conn
	var wg sync.WaitGroup
	for r := range size {
		wg.Go(func() {
			var err error
			switch r {
			case 0:
				all[0], err = Serve(ln, quick(0, size))
			case rank:
				if conn, err = net.Dial("tcp", ln.Addr().String()); err == nil {
					newLink(conn).say(wordHello, "secret", r, size, fmt.Sprintf("host%d", r))
				}
			default:
				all[r], err = Join(ln.Addr().String(), quick(r, size))
			}
			if err != nil {
				t.Errorf("rank %d: %v", r, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all, conn
}

func TestProcessIsLost(t *testing.T) {
	t.Parallel()
	ws, conn := broken(t, 3, 1)
	conn.Close()
	wantLoss(t, ws, 1, "killed, out of memory or crashed")
	closeAll(ws)

	ws, conn = broken(t, 3, 2) // silent from now on, as when it is stopped
	defer conn.Close()
	wantLoss(t, ws, 2, "no sign of life for 1s")
	closeAll(ws)

	ws, conn = broken(t, 3, 1)
	newLink(conn).say("gibberish")
	wantLoss(t, ws, 1, "gibberish")
	closeAll(ws)
	conn.Close()
}

// serveByHand is a process 0 that welcomes the only other process and says lines.
func serveByHand(t *testing.T, lines ...string) (*Watch, net.Conn) {
	t.Helper()
	ln := listener(t)
	defer ln.Close()
	got := make(chan net.Conn, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		l := newLink(conn)
		l.read(time.Second)
		for _, line := range lines {
			l.say(line)
		}
		got <- conn
	}()
	w, err := Join(ln.Addr().String(), quick(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	return w, <-got
}

func TestProcess0IsLost(t *testing.T) {
	t.Parallel()
	w, conn := serveByHand(t, "beat host0", "ready")
	conn.Close()
	wantLoss(t, []*Watch{w}, 0, "killed, out of memory or crashed")
	w, conn = serveByHand(t, "beat host0", "ready")
	wantLoss(t, []*Watch{w}, 0, "no sign of life")
	conn.Close()
}

func TestUnfitProcesses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		second WatchConfig
		want   string
	}{
		"size":  {quick(2, 4), "host2 has WORLD_SIZE 4, rank 0 on host host0 has 3"},
		"rank":  {quick(3, 3), "rank 3 of 3"},
		"twice": {quick(1, 3), "two processes have RANK 1"},
	} {
		ln := listener(t)
		served := make(chan error, 1)
		go func() { _, err := Serve(ln, quick(0, 3)); served <- err }()
		first := make(chan error, 1)
		go func() { _, err := Join(ln.Addr().String(), quick(1, 3)); first <- err }()
		time.Sleep(50 * time.Millisecond) // the first one is in
		_, err := Join(ln.Addr().String(), c.second)
		for who, err := range map[string]error{"process 0": <-served, "the other": <-first,
			"the unfit": err} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: %v", name, who, err)
			}
		}
	}
}

func TestProcessDoesNotCome(t *testing.T) {
	t.Parallel()
	ln := listener(t)
	cfg := quick(0, 4)
	cfg.Start = 300 * time.Millisecond
	joined := make(chan error, 1)
	go func() { _, err := Join(ln.Addr().String(), quick(2, 4)); joined <- err }()
	_, err := Serve(ln, cfg)
	for who, err := range map[string]error{"process 0": err, "rank 2": <-joined} {
		if err == nil || !strings.Contains(err.Error(), "ranks 1, 3 of 4 did not come") {
			t.Errorf("%s: %v", who, err)
		}
	}
	cfg.Rank = 1
	start := time.Now()
	if _, err := Join(ln.Addr().String(), cfg); err == nil ||
		!strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("no process 0: %v", err)
	}
	if d := time.Since(start); !(d < 2*time.Second) {
		t.Errorf("noticed after %v", d)
	}
}

// Strangers that send nothing, garbage or too much neither keep processes out nor
// end the group.
func TestStrangers(t *testing.T) {
	t.Parallel()
	ln := listener(t)
	served := make(chan *Watch, 1)
	go func() {
		w, err := Serve(ln, quick(0, 2))
		if err != nil {
			t.Error(err)
		}
		served <- w
	}()
	knock := func(text string) {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { conn.Close() })
		conn.Write([]byte(text))
	}
	garbage := []string{"", "\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
		"avjepa-watch wrong 1 2 host1\n", "avjepa-watch secret 1 2\n", "avjepa-watch secret x 2 h\n",
		strings.Repeat("x", 1<<20)}
	for range 10 {
		for _, g := range garbage {
			knock(g)
		}
	}
	w, err := Join(ln.Addr().String(), quick(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range garbage {
		knock(g)
	}
	time.Sleep(300 * time.Millisecond)
	zero := <-served
	if zero.Err() != nil || w.Err() != nil {
		t.Errorf("%v, %v", zero.Err(), w.Err())
	}
	closeAll([]*Watch{zero, w})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	ws, conn := broken(t, 3, 1)
	time.AfterFunc(100*time.Millisecond, func() { conn.Close() })
	if err := ws[2].Explain(errors.New("connection reset")); !errors.Is(err, engine.ErrLost) {
		t.Errorf("%v", err)
	}
	closeAll(ws)
	ws = watches(t, 2)
	other := errors.New("other")
	if err := ws[1].Explain(other); err != other {
		t.Errorf("%v", err)
	}
	closeAll(ws)
}

// What answers at process 0's address may say anything, its ready line twice too.
func TestReadyTwice(t *testing.T) {
	ln := listener(t)
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		l := newLink(conn)
		l.read(time.Second)
		l.say(wordBeat, "host0")
		l.say(wordReady)
		l.say(wordReady)
		l.say(wordLost, 2, "host2", "why not")
	}()
	w, err := Join(ln.Addr().String(), quick(1, 3))
	if err == nil { // else the loss came first
		defer w.Close(nil)
		wantLoss(t, []*Watch{w}, 2, "why not")
	}
}
