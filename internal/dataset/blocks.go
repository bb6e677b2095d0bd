package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
)

// blockBytes is how much text of index or ledger is read by one goroutine at a time.
const blockBytes = 1 << 20

// errTooLong is the error of a line of more than maxLineBytes.
var errTooLong = fmt.Errorf("longer than %d bytes", maxLineBytes)

// block is a run of lines and what they say, up to the first that is wrong.
type block[T any] struct {
	text  []byte // until it has been read
	bytes int    // of text
	items []T
	err   error // of the line behind the last item
	long  bool  // of err: no such line can have been written
}

// blockReader is the state of one goroutine that reads blocks.
type blockReader struct {
	strings []byte // of the block, one after the other
	kept    []keptString
	labels  map[string][]string // by the JSON text of the list
	words   map[string]string
	shared  *sharedStrings

	unsigned bool // signatures of clips are passed over
}

// keptString says that dst is to be set to a part of the block's strings. These are
// one string in memory: a set of millions of clips has millions.
type keptString struct {
	dst      *string
	from, to int
}

// settle sets the strings of the block's items.
func (b *blockReader) settle() {
	all := string(b.strings)
	for _, k := range b.kept {
		*k.dst = all[k.from:k.to]
	}
	b.strings, b.kept = b.strings[:0], b.kept[:0]
}

// undo forgets the strings kept since there were so many.
func (b *blockReader) undo(kept int) { b.kept = b.kept[:kept] }

// sharedStrings holds every combination of labels, and every split, once: a set of
// millions of clips has few.
type sharedStrings struct {
	mu     sync.Mutex
	labels map[string][]string
	words  map[string]string
}

func newShared() *sharedStrings {
	return &sharedStrings{labels: map[string][]string{}, words: map[string]string{}}
}

func (s *sharedStrings) labelsOf(labels []string) []string {
	if len(labels) == 0 {
		return nil
	}
	name := strings.Join(labels, "\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	if there, ok := s.labels[name]; ok {
		return there
	}
	s.labels[name] = labels
	return labels
}

func (s *sharedStrings) word(w string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there, ok := s.words[w]; ok {
		return there
	}
	s.words[w] = w
	return w
}

// readBlocks cuts the text of r into blocks of whole lines and lets a goroutine for
// each core call read for each of them. It returns the blocks in order, up to the
// first with an error, and the bytes behind the last end of a line, which are part of
// no block. The error is that of r.
func readBlocks[T any](r io.Reader, mostLines int, read func(b *blockReader, k *block[T])) (
	blocks []*block[T], tail []byte, err error) {
	workers := runtime.GOMAXPROCS(0)
	jobs := make(chan *block[T], workers)
	texts := make(chan []byte, 2*workers+2) // those not in use
	for range cap(texts) {
		texts <- nil
	}
	var done sync.WaitGroup
	shared := newShared()
	for range workers {
		done.Go(func() {
			b := &blockReader{labels: map[string][]string{}, words: map[string]string{}, shared: shared}
			for k := range jobs {
				read(b, k)
				texts <- k.text[:0]
				k.text = nil
			}
		})
	}
	lines := 0
	for err == nil && lines <= mostLines {
		text := append(<-texts, tail...)
		if text, err = fill(r, text); err != nil && !errors.Is(err, io.EOF) {
			break
		}
		end := bytes.LastIndexByte(text, '\n') + 1
		if end == 0 && err == nil { // a line longer than a block
			blocks = append(blocks, &block[T]{err: errTooLong, long: true})
			tail, err = skipLine(r)
			break
		}
		tail = append([]byte(nil), text[end:]...)
		k := &block[T]{text: text[:end], bytes: end,
			items: make([]T, 0, bytes.Count(text[:end], []byte("\n")))}
		lines += cap(k.items)
		blocks = append(blocks, k)
		jobs <- k
	}
	close(jobs)
	done.Wait()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	for i, k := range blocks {
		if k.err != nil {
			return blocks[:i+1], tail, err
		}
	}
	return blocks, tail, err
}

// fill appends to text up to blockBytes in all. Its error is io.EOF at the end of r.
func fill(r io.Reader, text []byte) ([]byte, error) {
	n := len(text)
	if cap(text) < blockBytes {
		text = append(make([]byte, 0, blockBytes), text...)
	}
	got, err := io.ReadFull(r, text[n:blockBytes])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return text[:n+got], err
}

// skipLine reads on to the end of a line. When there is none it returns some bytes of
// the line, and io.EOF.
func skipLine(r io.Reader) (torn []byte, err error) {
	buf := make([]byte, blockBytes)
	for {
		n, err := r.Read(buf)
		if bytes.IndexByte(buf[:n], '\n') >= 0 {
			return nil, nil
		}
		if err != nil {
			return []byte{'?'}, err
		}
	}
}
