package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// idleConnections is how many connections to one host are kept open: readers more
	// than that connect anew.
	idleConnections = 64
	maxHeader       = 64 << 10 // bytes of a response's header
	maxAnswer       = 4 << 20  // bytes of a response that is not an object
	maxError        = 64 << 10 // bytes of a response that says no
	minProgress     = 64 << 10 // bytes that have to move in Config.Timeout
	maxRedirects    = 5
)

// transport makes the requests of a remote store: by HTTP/1.1 alone, because readers in
// parallel are faster on connections of their own, and not longer than something moves.
type transport struct {
	base    *http.Transport
	timeout time.Duration
	// answered is set when any request got a response: from then on a host whose name
	// is not found is a fault of the network, before it is a wrong name.
	answered atomic.Bool
	// objects reports whether a response's body may be of any length.
	objects func(*http.Response) bool
}

func newTransport(timeout time.Duration) *transport {
	return &transport{timeout: timeout, base: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:    timeout,
		MaxIdleConns:           idleConnections,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		WriteBufferSize:        64 << 10,
	}}
}

// RoundTrip is that of http.RoundTripper. The context's error is errStalled when the
// request was given up because nothing moved.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(t.timeout, func() { cancel(errStalled) })
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sending{ReadCloser: req.Body, timer: timer, timeout: t.timeout}
		req.GetBody = nil // it would give a body without the timer
	}
	resp, err := t.base.RoundTrip(req)
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = errStalled
		}
		cancel(nil)
		var name *net.DNSError
		if errors.As(err, &name) && name.IsNotFound && t.answered.Load() {
			err = fmt.Errorf("%w: %s", errBroken, name)
		}
		return nil, err
	}
	t.answered.Store(true)
	body := &receiving{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, timer: timer,
		timeout: t.timeout, patience: t.timeout, limit: -1}
	if !t.objects(resp) {
		body.limit = maxAnswer
	}
	if resp.StatusCode >= 300 {
		body.limit, body.cut = maxError, true
	}
	resp.Body = body
	return resp, nil
}

// sending is the body of a request, whose timer begins anew with each piece.
type sending struct {
	io.ReadCloser
	timer   *time.Timer
	timeout time.Duration
}

func (b *sending) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.timer.Reset(b.timeout)
	return n, err
}

// receiving is the body of a response. Only the time in Read counts, so that a reader may
// do other things in between, and less than 64 KiB are no progress, so that a server
// which sends a byte now and then does not hold it for ever.
type receiving struct {
	io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	timeout  time.Duration
	patience time.Duration // left for the next 64 KiB
	moved    int           // of these 64 KiB
	limit    int64         // bytes that may come; negative: any number
	cut      bool          // what is more is left out, else it is an error
}

func (b *receiving) Read(p []byte) (int, error) {
	if b.limit == 0 && b.cut {
		return 0, io.EOF
	}
	if b.limit == 0 {
		return 0, &fault{is: []error{ErrServer}, text: fmt.Sprintf(
			"the server's answer has more than %d MiB", maxAnswer>>20)}
	}
	if b.limit > 0 {
		p = p[:min(int64(len(p)), b.limit)]
	}
	begun := time.Now()
	b.timer.Reset(max(b.patience, 0))
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	b.patience -= time.Since(begun)
	if b.moved += n; b.moved >= minProgress {
		b.moved, b.patience = 0, b.timeout
	}
	if b.limit > 0 {
		b.limit -= int64(n)
	}
	if err != nil && err != io.EOF && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (b *receiving) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
