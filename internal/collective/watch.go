package collective

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// WatchConfig says how processes watch each other.
type WatchConfig struct {
	Rank, Size int
	Host       string        // name of this machine, for messages
	Token      string        // a secret that all processes of this group know
	Every      time.Duration // between signs of life; 0 for 1 s
	Silence    time.Duration // after which a process counts as lost; 0 for 10 s
	Start      time.Duration // for all processes to come; 0 for 10 min
}

// withDefaults fills in what is 0.
func (c WatchConfig) withDefaults() WatchConfig {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&c.Every, time.Second}, {&c.Silence, 10 * time.Second}, {&c.Start, 10 * time.Minute}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	c.Host = strings.ReplaceAll(oneLine(c.Host), " ", "-")
	if c.Host == "" {
		c.Host = "?"
	}
	return c
}

// Watch is one process's end of the watch: process 0's, made by Serve, or another
// one's, made by Join. Its methods may be called from any goroutine.
type Watch struct {
	cfg  WatchConfig
	lost chan struct{} // closed when loss is set
	done chan struct{} // closed by Close
	left chan struct{} // closed when process 0 has said goodbye; not in process 0

	mu     sync.Mutex
	loss   *Loss
	closed bool

	say func(*Loss) // process 0: tells the others
	bye func(error) // says goodbye
}

func newWatch(cfg WatchConfig) *Watch {
	return &Watch{cfg: cfg, lost: make(chan struct{}), done: make(chan struct{}),
		left: make(chan struct{})}
}

// Lost is closed once a process was lost; Err says which.
func (w *Watch) Lost() <-chan struct{} { return w.lost }

// Err returns a *Loss once a process was lost, else nil.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loss == nil {
		return nil
	}
	return w.loss
}

// Explain returns what is known about an error of a sum over processes: the loss
// behind it, for which it waits a little, or the error itself.
func (w *Watch) Explain(err error) error {
	select {
	case <-w.lost:
		return w.Err()
	case <-time.After(lastWords):
		return err
	}
}

// lose ends the group, unless it has ended already.
func (w *Watch) lose(rank int, host, why string) {
	w.mu.Lock()
	if w.loss != nil || w.closed {
		w.mu.Unlock()
		return
	}
	w.loss = &Loss{Rank: rank, Host: host, Why: oneLine(why)}
	loss := w.loss
	w.mu.Unlock()
	if w.say != nil {
		w.say(loss)
	}
	close(w.lost)
}

// Close says goodbye: with an error of this process's own the others end with its
// text, with nil they go on without this process.
func (w *Watch) Close(err error) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	if w.loss != nil {
		err = nil // everybody knows
	}
	w.mu.Unlock()
	w.bye(err)
	close(w.done)
}

// listen reads a peer's lines until the link ends, and loses the peer if it ends
// without a goodbye. handle takes the lines that are no sign of life and reports
// whether the link is to go on. The result is whether there was a goodbye.
func (w *Watch) listen(l *link, rank int, host string,
	handle func(word, rest string) bool) (goodbye bool) {
	for {
		word, rest, err := l.read(w.cfg.Silence)
		switch {
		case err != nil:
			w.lose(rank, host, w.why(err))
			return false
		case word == wordBeat:
		case word == wordBye:
			return true
		case !handle(word, rest):
			return false
		}
	}
}

// why says what the end of a connection means.
func (w *Watch) why(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Sprintf("has given no sign of life for %v: it hangs, its machine does, "+
			"or the network between", w.cfg.Silence)
	}
	return "ended without a word (killed, out of memory or crashed: see its own output " +
		"and the kernel's log)"
}

// lostRest reads the rest of a lost line.
func lostRest(rest string) (rank int, host, why string, err error) {
	f := strings.SplitN(rest, " ", 3)
	if len(f) != 3 {
		return 0, "", "", fmt.Errorf("collective: %q: want rank, host and reason", rest)
	}
	rank, err = strconv.Atoi(f[0])
	return rank, f[1], f[2], err
}

// Join connects a process other than 0 with the watch that process 0 serves, and
// returns when all processes have come.
func Join(addr string, cfg WatchConfig) (*Watch, error) {
	w := newWatch(cfg.withDefaults())
	until := time.Now().Add(w.cfg.Start)
	l, host, err := w.knock(addr, until)
	if err != nil {
		return nil, err
	}
	go l.beat(w.cfg.Every, w.done)
	ended := make(chan struct{})
	w.bye = func(err error) {
		if err != nil {
			l.say(wordFail, err)
		} else {
			l.say(wordBye)
		}
		l.closeWrite()
		select {
		case <-ended:
		case <-time.After(lastWords):
		}
		l.conn.Close()
	}
	ready := make(chan struct{})
	go func() {
		defer close(ended)
		goodbye := w.listen(l, 0, host, func(word, rest string) bool {
			switch word {
			case wordReady:
				select {
				case <-ready: // said twice: no process 0 of ours
				default:
					close(ready)
				}
				return true
			case wordLost:
				rank, host, why, err := lostRest(rest)
				if err == nil {
					w.lose(rank, host, why)
				}
			}
			return false
		})
		if goodbye {
			close(w.left)
		}
	}()
	select {
	case <-ready:
		return w, nil
	case <-w.lost:
		err = w.Err()
	case <-ended:
		err = fmt.Errorf("collective: process 0 on host %s ended before all processes had come", host)
	case <-time.After(time.Until(until) + w.cfg.Silence): // process 0 gives up first
		err = fmt.Errorf("collective: not all of %d processes came within %v", cfg.Size, w.cfg.Start)
	}
	w.Close(nil)
	return nil, err
}

// knock connects, and is welcomed with the name of process 0's machine or refused.
func (w *Watch) knock(addr string, until time.Time) (*link, string, error) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		l, host, err := w.knockOnce(addr)
		var refused refusal
		if err == nil || errors.As(err, &refused) {
			return l, host, err
		}
		if time.Now().Add(pause).After(until) {
			return nil, "", fmt.Errorf("collective: the watch of process 0 cannot be reached: %w "+
				"(processes connect with each other at any port: is there a firewall between?)", err)
		}
		time.Sleep(pause)
	}
}

// refusal is process 0's reason to turn a process away.
type refusal struct{ text string }

func (r refusal) Error() string { return "collective: process 0 says: " + r.text }

func (w *Watch) knockOnce(addr string) (*link, string, error) {
	conn, err := net.DialTimeout("tcp", addr, w.cfg.Silence)
	if err != nil {
		return nil, "", err
	}
	l := newLink(conn)
	l.say(wordHello, w.cfg.Token, w.cfg.Rank, w.cfg.Size, w.cfg.Host)
	word, rest, err := l.read(w.cfg.Silence)
	switch {
	case err == nil && word == wordBeat:
		return l, rest, nil
	case err == nil && word == wordRefused:
		err = refusal{rest}
	case err == nil:
		err = fmt.Errorf("%s does not speak the watch's language: %s", addr, oneLine(word))
	}
	conn.Close()
	return nil, "", err
}
