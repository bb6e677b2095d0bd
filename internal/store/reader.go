package store

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// readOnce makes one attempt of ReadAt at a remote store.
func (s *Store) readOnce(ctx context.Context, name string, p []byte, off int64) error {
	body, _, err := s.remote.get(ctx, name, off, int64(len(p)))
	if err != nil {
		return err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p)
	if err != nil {
		return broken(err, int64(n), int64(len(p)))
	}
	// Only a body that was read to its end leaves its connection to the next reader.
	return atEnd(body, int64(len(p)))
}

// broken returns the error of a body of which n bytes of want came.
func broken(err error, n, want int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &fault{is: []error{errBroken}, text: fmt.Sprintf(
			"%v after %d of %d bytes", errBroken, n, want)}
	}
	return err
}

// atEnd returns an error when more than the want bytes come that were asked for.
func atEnd(body io.Reader, want int64) error {
	var more [1]byte
	if n, _ := io.ReadFull(body, more[:]); n > 0 {
		return &fault{is: []error{ErrServer}, text: fmt.Sprintf(
			"the server sends more than the %d bytes asked for", want)}
	}
	return nil
}

// NewReader returns a reader of a whole object. A connection that breaks is replaced by
// another that goes on where the first ended; if the object is another one by then, the
// error is ErrChanged. Where the store knows the object's checksum, the last read
// compares it: ErrCorrupt.
func (s *Store) NewReader(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if s.remote == nil {
		return s.openLocal(name)
	}
	in, err := s.head(ctx, name)
	if err != nil {
		return nil, err
	}
	return &reader{s: s, ctx: ctx, name: name, info: in, op: s.start(ctx, "reading", name),
		sum: crc32.New(castagnoli)}, nil
}

// reader reads an object of a remote store from its start to its end.
type reader struct {
	s    *Store
	ctx  context.Context
	name string
	info info // of the object when reading began
	op   *operation

	body io.ReadCloser // nil between connections
	off  int64         // of the next byte
	sum  hash.Hash32   // CRC-32C of bytes [0, off)
	err  error         // what the reader ended with
}

func (r *reader) Read(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if left := r.info.size - r.off; left == 0 {
		r.err = r.end()
		return 0, r.err
	} else if int64(len(p)) > left {
		p = p[:left]
	}
	err = r.op.do(func() error {
		n, err = r.readSome(p)
		return err
	})
	if err != nil {
		r.err = err
		return 0, err
	}
	r.sum.Write(p[:n])
	r.off += int64(n)
	return n, nil
}

// readSome makes one attempt to read at least a byte.
func (r *reader) readSome(p []byte) (int, error) {
	if r.body == nil {
		body, in, err := r.s.remote.get(r.ctx, r.name, r.off, r.info.size-r.off)
		if means(err, ErrShort) || err == nil && (in.size != r.info.size || in.tag != r.info.tag) {
			err = &fault{is: []error{ErrChanged}, text: fmt.Sprintf("%v: read it again", ErrChanged)}
		}
		if err != nil {
			if body != nil {
				body.Close()
			}
			return 0, err
		}
		r.body = body
	}
	for {
		n, err := r.body.Read(p)
		if n > 0 {
			return n, nil // an error comes again, or the connection has done its work
		}
		if err != nil {
			r.Close()
			return 0, broken(err, r.off, r.info.size)
		}
	}
}

// end returns io.EOF, or what is wrong with the object as a whole.
func (r *reader) end() error {
	if r.body != nil {
		err := atEnd(r.body, r.info.size)
		r.Close()
		if err != nil {
			return r.op.final(err)
		}
	}
	if r.info.crc != nil && *r.info.crc != r.sum.Sum32() {
		return r.op.final(&fault{is: []error{ErrCorrupt}, text: fmt.Sprintf(
			"%v: CRC-32C %08x, the store has %08x: read it again, and write it again if that repeats",
			ErrCorrupt, r.sum.Sum32(), *r.info.crc)})
	}
	return io.EOF
}

// Close ends the connection. Reading on would open another.
func (r *reader) Close() error {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	return nil
}

// castagnoli is the polynomial of CRC-32C, which S3 knows and processors compute.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// source is what is being sent: it ends with ctx, and tells how far it is.
type source struct {
	ctx      context.Context
	r        io.Reader
	size     int64       // bytes that r has to have; negative if any number
	progress func(int64) // may be nil
	n        int64       // bytes read
	crc      uint32      // CRC-32C of these
	err      error       // that ended it, if not io.EOF
}

func (s *source) Read(p []byte) (n int, err error) {
	if err = context.Cause(s.ctx); err == nil {
		n, err = s.r.Read(p)
	}
	s.n += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	if n > 0 && s.progress != nil {
		s.progress(s.n)
	}
	if s.size >= 0 && (s.n > s.size || err == io.EOF && s.n < s.size) {
		err = fmt.Errorf("%w: a file of %d bytes has %d now: send it again", ErrChanged, s.size, s.n)
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
