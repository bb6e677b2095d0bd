package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// VerifyConfig says what to check.
type VerifyConfig struct {
	Dir     string
	Decode  bool // decode every frame too
	Workers int  // goroutines that read and check; 0 = one per core

	// Progress, when set, is called from several goroutines with the bytes of shards
	// that have been checked, of all, and the clips found broken so far.
	Progress func(done, total int64, broken int)
}

// Verified says what Verify found.
type Verified struct {
	Clips  int   // of the index
	Broken int   // of them
	Shards int   // files
	Bytes  int64 // of the shards
	Ledger bool  // whether there was one to compare with

	Faults []Fault // by file, place and key; the first mostFaults
	More   int     // that Faults has not
}

// Fault is one thing that is wrong with a dataset.
type Fault struct {
	File    string `json:"file"`
	Offset  int64  `json:"offset"`        // byte in the file; the line's number in a .jsonl
	Key     string `json:"key,omitempty"` // of the clip that it breaks, if it is one
	Problem string `json:"problem"`
}

// Verify reads every byte of a dataset and compares: each clip with its checksum, the
// members of its record and what its JSON says; the shards with the index, so that
// nothing lies between clips or behind them but the archive's end; the index with the
// ledger. What is wrong becomes a Fault, never an error. It takes memory for the index
// and, per worker, for some clips.
//
// Errors: ErrNotDataset when there is no index, ctx's, those of reading the folder.
func Verify(ctx context.Context, cfg VerifyConfig) (Verified, error) {
	v := &verifier{cfg: cfg, broken: make(map[string]bool)}
	numbers, sizes, err := listShards(cfg.Dir)
	if err != nil {
		return Verified{}, err
	}
	v.out.Shards = len(numbers)
	for _, n := range sizes {
		v.out.Bytes += n
	}
	clips, err := v.readIndex(ctx)
	if err != nil {
		return Verified{}, err
	}
	v.out.Clips = len(clips)
	if _, err := readClassesIn(cfg.Dir); err != nil {
		v.fault(Fault{File: classesFile, Problem: err.Error()})
	}
	if err := v.compareLedger(ctx, clips); err != nil {
		return Verified{}, err
	}
	if err := v.checkSpans(ctx, v.divide(clips, numbers, sizes)); err != nil {
		return Verified{}, err
	}
	v.out.Broken = len(v.broken)
	slices.SortFunc(v.out.Faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.Problem, b.Problem))
	})
	return v.out, nil
}

type verifier struct {
	cfg  VerifyConfig
	done atomic.Int64

	mu     sync.Mutex
	out    Verified
	broken map[string]bool // clips
}

func (v *verifier) fault(f Fault) {
	f.Problem = oneLine(f.Problem)
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.Key != "" {
		v.broken[f.Key] = true
	}
	if len(v.out.Faults) == mostFaults {
		v.out.More++
		return
	}
	v.out.Faults = append(v.out.Faults, f)
}

// span is a run of clips in one shard that are read at once; or the shard's end.
type span struct {
	shard int
	clips []Info
	end   bool
	from  int64 // of the end
	size  int64 // of the shard
}

// spanBytes is how much is read at once, a single clip may be more.
const spanBytes = 8 << 20

// divide sorts the clips by place and deals them out, shard by shard. It reports the
// shards that there are too many or too few, clips that overlap or reach beyond their
// shard, and bytes between them.
func (v *verifier) divide(clips []Info, numbers []int, sizes map[int]int64) []span {
	slices.SortFunc(clips, byPlace)
	var spans []span
	for len(clips) > 0 || len(numbers) > 0 {
		switch {
		case len(clips) == 0 || len(numbers) > 0 && numbers[0] < clips[0].Shard:
			v.fault(Fault{File: shardName(numbers[0]), Problem: "no clip of the index is in it"})
			v.tell(sizes[numbers[0]])
			numbers = numbers[1:]
			continue
		case len(numbers) == 0 || numbers[0] > clips[0].Shard:
			n := sameShard(clips)
			for i := range clips[:n] {
				v.fault(Fault{File: shardName(clips[i].Shard), Offset: clips[i].Offset,
					Key: clips[i].Key, Problem: "the shard is missing"})
			}
			clips = clips[n:]
			continue
		}
		n := sameShard(clips)
		spans = v.divideShard(spans, clips[:n], sizes[numbers[0]])
		clips, numbers = clips[n:], numbers[1:]
	}
	return spans
}

func sameShard(clips []Info) int {
	n := 1
	for n < len(clips) && clips[n].Shard == clips[0].Shard {
		n++
	}
	return n
}

func (v *verifier) divideShard(spans []span, clips []Info, size int64) []span {
	shard, end := clips[0].Shard, int64(0)
	first := 0
	for i := range clips {
		c := &clips[i]
		switch {
		case c.Offset > end:
			v.fault(Fault{File: shardName(shard), Offset: end,
				Problem: fmt.Sprintf("%d bytes that belong to no clip", c.Offset-end)})
			v.tell(c.Offset - end)
		case c.Offset < end:
			v.fault(Fault{File: shardName(shard), Offset: c.Offset, Key: c.Key,
				Problem: fmt.Sprintf("overlaps the clip before it, which ends at byte %d", end)})
		}
		if i > first && (c.Offset != end || end-clips[first].Offset >= spanBytes) {
			spans = append(spans, span{shard: shard, clips: clips[first:i], size: size})
			first = i
		}
		end = max(end, c.Offset+c.Bytes)
	}
	spans = append(spans, span{shard: shard, clips: clips[first:], size: size})
	return append(spans, span{shard: shard, end: true, from: end, size: size})
}

// checkSpans reads the spans in order, by as many goroutines as there are workers.
func (v *verifier) checkSpans(ctx context.Context, spans []span) error {
	n := cmp.Or(v.cfg.Workers, runtime.GOMAXPROCS(0))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, min(n, len(spans))) {
		wg.Go(func() {
			r := spanReader{v: v}
			defer r.close()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(spans) || ctx.Err() != nil {
					return
				}
				r.check(ctx, &spans[i])
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("dataset: stopped: %w", context.Cause(ctx))
	}
	return nil
}

func (v *verifier) tell(bytes int64) {
	done := v.done.Add(bytes)
	if v.cfg.Progress != nil {
		v.mu.Lock()
		broken := len(v.broken)
		v.mu.Unlock()
		v.cfg.Progress(done, v.out.Bytes, broken)
	}
}

// The end of an archive: two blocks of zeros, which others pad to 20.
const longestEnd = tarTrailer + 20*tarBlock

// checkEnd checks what lies behind the last clip of a shard.
func checkEnd(file io.ReaderAt, from, size int64) error {
	switch n := size - from; {
	case n < 0:
		return nil // the clips say so
	case n < tarTrailer:
		return fmt.Errorf("the archive's end has %d bytes, at least %d: it was cut off", n, tarTrailer)
	case n > longestEnd:
		return fmt.Errorf("%d bytes that belong to no clip", n)
	}
	b := make([]byte, size-from)
	if _, err := file.ReadAt(b, from); err != nil && err != io.EOF {
		return err
	}
	if i := bytes.IndexFunc(b, func(r rune) bool { return r != 0 }); i >= 0 {
		return fmt.Errorf("byte %d of the archive's end is not 0", i)
	}
	return nil
}

// spanReader is the work of one goroutine: it keeps the shard open that it read last.
type spanReader struct {
	v      *verifier
	file   *os.File
	shard  int
	buf    []byte
	frames [][]byte
}

func (r *spanReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

func (r *spanReader) check(ctx context.Context, s *span) {
	name := shardName(s.shard)
	if r.file == nil || r.shard != s.shard {
		r.close()
		f, err := os.Open(filepath.Join(r.v.cfg.Dir, name))
		if err != nil {
			r.failAll(s, err)
			return
		}
		r.file, r.shard = f, s.shard
	}
	if s.end {
		if err := checkEnd(r.file, s.from, s.size); err != nil {
			r.v.fault(Fault{File: name, Offset: s.from, Problem: err.Error()})
		}
		r.v.tell(max(0, s.size-s.from))
		return
	}
	from := s.clips[0].Offset
	last := &s.clips[len(s.clips)-1]
	n := max(0, min(last.Offset+last.Bytes, s.size)-from)
	r.buf = slices.Grow(r.buf[:0], int(n))[:n]
	got, err := r.file.ReadAt(r.buf, from)
	if err != nil && err != io.EOF {
		r.slowly(s, err)
		return
	}
	for i := range s.clips {
		if ctx.Err() != nil {
			return
		}
		c := &s.clips[i]
		err := errors.New("the shard ends before the clip does")
		if end := c.Offset + c.Bytes - from; end <= int64(got) {
			err = r.clip(c, r.buf[c.Offset-from:end])
		}
		r.result(c, err)
	}
}

// slowly reads clip by clip where the disk fails, to tell those that it has.
func (r *spanReader) slowly(s *span, all error) {
	for i := range s.clips {
		c := &s.clips[i]
		b := r.buf[:0]
		b = slices.Grow(b, int(min(c.Bytes, max(0, s.size-c.Offset))))
		b = b[:min(c.Bytes, int64(cap(b)))]
		_, err := r.file.ReadAt(b, c.Offset)
		if err == nil {
			err = r.clip(c, b)
		}
		r.result(c, err)
	}
}

func (r *spanReader) failAll(s *span, err error) {
	for i := range s.clips {
		r.result(&s.clips[i], err)
	}
}

func (r *spanReader) result(c *Info, err error) {
	if err != nil {
		r.v.fault(Fault{File: shardName(c.Shard), Offset: c.Offset, Key: c.Key, Problem: err.Error()})
	}
	r.v.tell(c.Bytes)
}
