package collective

import (
	"crypto/subtle"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Strangers may connect to the watch's port: so many at a time beside the
// processes of the group, for so long.
const (
	maxStrangers  = 64
	strangersTime = 5 * time.Second
)

// server is process 0's side of the watch.
type server struct {
	*Watch
	listener net.Listener

	mu       sync.Mutex
	links    map[int]*link // by rank
	readers  sync.WaitGroup
	arrived  chan struct{} // closed when all are there
	complete bool
	unfit    error // what makes the group impossible: a wrong WORLD_SIZE, a rank twice
	refuse   chan struct{}
}

// Serve begins process 0's watch on a listener, which it closes in the end, and
// returns when all other processes have joined.
func Serve(listener net.Listener, cfg WatchConfig) (*Watch, error) {
	s := &server{Watch: newWatch(cfg.withDefaults()), listener: listener,
		links: map[int]*link{}, arrived: make(chan struct{}), refuse: make(chan struct{})}
	s.say, s.bye = s.tellLost, s.tellBye
	go s.accept()
	var err error
	select {
	case <-s.arrived:
		s.each(func(_ int, l *link) { l.say(wordReady) })
		return s.Watch, nil
	case <-s.refuse:
		err = s.unfit
	case <-s.lost:
		err = s.Err()
	case <-time.After(s.cfg.Start):
		err = fmt.Errorf("collective: within %v %s of %d did not come: start as many processes as "+
			"WORLD_SIZE says, all with the same MASTER_ADDR and MASTER_PORT",
			s.cfg.Start, s.missing(), s.cfg.Size)
	}
	s.Close(err)
	return nil, err
}

// missing names the ranks that have not come, the first few of many.
func (s *server) missing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ranks []string
	for r := 1; r < s.cfg.Size; r++ {
		if s.links[r] == nil {
			ranks = append(ranks, strconv.Itoa(r))
		}
	}
	const most = 8
	if len(ranks) > most {
		ranks = append(ranks[:most], "…")
	}
	word := "rank "
	if len(ranks) > 1 {
		word = "ranks "
	}
	return word + strings.Join(ranks, ", ")
}

// accept takes connections until the listener is closed.
func (s *server) accept() {
	strangers := make(chan struct{}, maxStrangers+s.cfg.Size)
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.done:
				return
			case <-time.After(10 * time.Millisecond): // out of files, for example
				continue
			}
		}
		select {
		case strangers <- struct{}{}:
			go func() {
				l := newLink(conn)
				rank, host, ok := s.greet(l)
				<-strangers
				if !ok {
					conn.Close()
					return
				}
				s.attend(l, rank, host)
			}()
		default:
			conn.Close()
		}
	}
}

// greet reads the first line of a connection. What does not know the token is not
// answered.
func (s *server) greet(l *link) (rank int, host string, ok bool) {
	word, rest, err := l.read(strangersTime)
	f := strings.Fields(rest)
	if err != nil || word != wordHello || len(f) != 4 ||
		subtle.ConstantTimeCompare([]byte(f[0]), []byte(s.cfg.Token)) != 1 {
		return 0, "", false
	}
	rank, errRank := strconv.Atoi(f[1])
	size, errSize := strconv.Atoi(f[2])
	host = f[3]
	s.mu.Lock()
	defer s.mu.Unlock()
	var unfit string
	switch {
	case errRank != nil || errSize != nil:
		return 0, "", false
	case size != s.cfg.Size:
		unfit = fmt.Sprintf("rank %d on host %s has WORLD_SIZE %d, rank 0 on host %s has %d",
			rank, host, size, s.cfg.Host, s.cfg.Size)
	case rank < 1 || rank >= s.cfg.Size:
		unfit = fmt.Sprintf("a process on host %s has rank %d of %d, which is not one of 1 … %d",
			host, rank, size, s.cfg.Size-1)
	case s.links[rank] != nil:
		unfit = fmt.Sprintf("two processes have RANK %d, the second one on host %s", rank, host)
	}
	if unfit != "" {
		l.say(wordRefused, unfit)
		if s.unfit == nil && !s.complete {
			s.unfit = fmt.Errorf("collective: %s: give each process its own RANK and all the "+
				"same WORLD_SIZE", unfit)
			close(s.refuse)
		}
		return 0, "", false
	}
	l.say(wordBeat, s.cfg.Host)
	s.links[rank] = l
	s.readers.Add(1)
	if len(s.links) == s.cfg.Size-1 && !s.complete {
		s.complete = true
		close(s.arrived)
	}
	return rank, host, true
}

// attend listens to a process of the group until its end.
func (s *server) attend(l *link, rank int, host string) {
	defer s.readers.Done()
	stop := make(chan struct{})
	go l.beat(s.cfg.Every, stop)
	s.listen(l, rank, host, func(word, rest string) bool {
		if word == wordFail {
			s.lose(rank, host, "ended with an error ("+rest+")")
		} else {
			s.lose(rank, host, fmt.Sprintf("said %q, which no process of this version says", word))
		}
		return false
	})
	close(stop)
	l.closeWrite()
	l.drain() // what was told it may still be under way
	l.conn.Close()
}

// each calls f for every process that has joined.
func (s *server) each(f func(rank int, l *link)) {
	s.mu.Lock()
	links := make(map[int]*link, len(s.links))
	for r, l := range s.links {
		links[r] = l
	}
	s.mu.Unlock()
	var wait sync.WaitGroup
	for r, l := range links {
		wait.Go(func() { f(r, l) })
	}
	wait.Wait()
}

// tellLost tells everybody, the lost process too: it may wake up again.
func (s *server) tellLost(loss *Loss) {
	s.each(func(_ int, l *link) { l.say(wordLost, loss.Rank, loss.Host, loss.Why) })
}

// tellBye ends process 0's watch. Without an error the others, which may have
// something left to do, are given a moment.
func (s *server) tellBye(err error) {
	if err != nil {
		s.tellLost(&Loss{Rank: 0, Host: s.cfg.Host, Why: oneLine("ended with an error (" + err.Error() + ")")})
	} else {
		s.wait()
		s.each(func(_ int, l *link) { l.say(wordBye) })
	}
	s.each(func(_ int, l *link) { l.closeWrite() })
	s.wait()
	s.listener.Close()
}

// wait waits a moment for the others to leave.
func (s *server) wait() {
	gone := make(chan struct{})
	go func() { s.readers.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(lastWords):
	}
}
