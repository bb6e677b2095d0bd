package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tm "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

const (
	partSize = 8 << 20 // bytes of an upload's part; 10000 parts at most
	maxParts = 10000
	// abortTime is how long a store is given to forget the parts of an upload that its
	// caller has given up.
	abortTime = 2 * time.Second
)

func (b *bucket) upload(ctx context.Context, name, file string, progress func(int64)) error {
	f, size, err := openSource(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.send(ctx, name, &source{ctx: ctx, r: f, size: size, progress: progress})
}

// write lets write fill one end of a pipe whose other end is being sent.
func (b *bucket) write(ctx context.Context, name string, write func(io.Writer) error) error {
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := b.send(ctx, name, &source{ctx: ctx, r: r, size: -1})
		r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
		sent <- err
	}()
	defer w.CloseWithError(errors.New("writer panicked"))
	err := write(w)
	w.CloseWithError(err) // nil is the object's end
	if e := <-sent; err == nil || e != nil && errors.Is(err, e) {
		err = e
	}
	return err
}

// send makes what src yields an object, whole or not at all, and checks it. A failed part
// is sent again, not the whole.
func (b *bucket) send(ctx context.Context, name string, src *source) error {
	op := b.s.start(ctx, "writing", name)
	options := b.options
	options.Retryer = parts{op}
	blobs, err := s3blob.OpenBucket(ctx, s3.New(options), b.name, &s3blob.Options{
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired})
	if err != nil {
		return err
	}
	// When ctx ends, so does src, and the store is told to forget the parts, which needs
	// a context that goes on for a moment.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(abortTime, cancel) })()

	err = blobs.Upload(sending, b.key(name), src, &blob.WriterOptions{
		ContentType: typeOf(name),
		BufferSize:  int(max(partSize, src.size/(maxParts-1)+1)),
		BeforeWrite: func(as func(any) bool) error {
			var in *transfermanager.UploadObjectInput
			if as(&in) && b.checksums {
				in.ChecksumAlgorithm, in.ChecksumType = tm.ChecksumAlgorithmCrc32c, tm.ChecksumTypeFullObject
			}
			return nil
		},
	})
	if a := answerOf(err); a != nil && a.code == "NoSuchUpload" && ctx.Err() == nil {
		err = nil // done by an attempt whose answer was lost, or the check will tell
	}
	var end *ended
	switch {
	case err == nil:
	case src.err != nil:
		return src.err
	case errors.As(err, &end): // in the SDK's words
		return end
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return op.final(err)
	}
	return b.check(ctx, name, src)
}

// check holds the object to what src has yielded, by the store's checksum if it has one,
// else by reading all of it. What differs is removed.
func (b *bucket) check(ctx context.Context, name string, src *source) error {
	in, err := b.s.head(ctx, name)
	if err != nil {
		return err
	}
	size, crc := in.size, in.crc
	if size == src.n && crc == nil {
		r, err := b.s.NewReader(ctx, name)
		if err != nil {
			return err
		}
		defer r.Close()
		back := &source{ctx: ctx, r: r, size: -1}
		if _, err := io.Copy(io.Discard, back); err != nil {
			return err
		}
		crc = &back.crc
	}
	if size == src.n && *crc == src.crc {
		return nil
	}
	text := fmt.Sprintf("writing %s: %v: %d bytes were sent, %d are there",
		b.s.where(name), ErrCorrupt, src.n, size)
	if size == src.n {
		text = fmt.Sprintf("writing %s: %v: CRC-32C %08x was sent, %08x is there",
			b.s.where(name), ErrCorrupt, src.crc, *crc)
	}
	if err := b.remove(ctx, name); err != nil {
		text += ", and it could not be removed"
	}
	return &fault{is: []error{ErrCorrupt}, text: text + ": write it again"}
}

// parts has the SDK try requests of an upload again as an operation does.
type parts struct{ op *operation }

func (p parts) IsErrorRetryable(error) bool { return true } // RetryDelay decides
func (p parts) MaxAttempts() int            { return 0 }

func (p parts) RetryDelay(_ int, err error) (time.Duration, error) { return p.op.next(err) }

func (p parts) GetRetryToken(context.Context, error) (func(error) error, error) {
	return p.GetInitialToken(), nil
}

func (p parts) GetInitialToken() func(error) error {
	return func(err error) error {
		if err == nil {
			p.op.gotOn()
		}
		return nil
	}
}
