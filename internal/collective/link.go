package collective

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// The lines of the watch, both ways unless said otherwise:
//
//	avjepa-watch TOKEN RANK SIZE HOST   first line of a process to process 0
//	refused TEXT                        process 0's answer when they do not fit
//	ready                               process 0 to all: every process has come
//	beat                                still here
//	beat HOST                           process 0's welcome, with its machine's name
//	bye                                 ends as it should
//	fail TEXT                           ends with an error of its own; to process 0
//	lost RANK HOST TEXT                 process 0 to all: the group is over
const (
	wordHello   = "avjepa-watch"
	wordRefused = "refused"
	wordReady   = "ready"
	wordBeat    = "beat"
	wordBye     = "bye"
	wordFail    = "fail"
	wordLost    = "lost"
)

// maxLine is the longest line in bytes: a text, a host name and some words. A
// connection that sends a longer one is closed.
const maxLine = 2048

// lastWords bounds the time it takes to say goodbye.
const lastWords = 2 * time.Second

// link is a connection of the watch.
type link struct {
	conn net.Conn
	in   *bufio.Reader

	mu sync.Mutex // of writing
}

func newLink(conn net.Conn) *link {
	return &link{conn: conn, in: bufio.NewReaderSize(conn, maxLine)}
}

// read returns the next line within a time: its first word and the rest.
func (l *link) read(within time.Duration) (word, rest string, err error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", "", err
	}
	line, err := l.in.ReadSlice('\n')
	if err != nil {
		return "", "", err
	}
	word, rest, _ = strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
	return word, rest, nil
}

// say sends a line. An error is not reported: the reader of the other direction
// notices a broken connection.
func (l *link) say(word string, rest ...any) {
	line := word
	for _, r := range rest {
		line += " " + oneLine(fmt.Sprint(r))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.SetWriteDeadline(time.Now().Add(lastWords))
	fmt.Fprintln(l.conn, line)
}

// beat says at every interval that this process lives, until done.
func (l *link) beat(every time.Duration, done <-chan struct{}) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			l.say(wordBeat)
		case <-done:
			return
		}
	}
}

// closeWrite tells the other side that nothing follows, and leaves what it still
// says to be read: closing at once could take the last line back.
func (l *link) closeWrite() {
	if c, ok := l.conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}

// drain reads what the other side still says, for a moment at most.
func (l *link) drain() {
	l.conn.SetReadDeadline(time.Now().Add(lastWords))
	io.Copy(io.Discard, l.conn)
}
