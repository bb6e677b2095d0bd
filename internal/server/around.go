package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

type contextKey int

const requestKey contextKey = iota

// requestID returns the id of the request that a context belongs to, "" for none.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}

// contentPolicy lets pages load from this server alone and run no script of a page's
// own text.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; " +
	"img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "microphone=(self), camera=(self)")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// around puts the checks and the account of every request around the routes.
func (s *Server) around(mux *http.ServeMux) http.Handler {
	inner := s.access.check(s, mux)
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		id := rand.Text()[:16]
		r = r.WithContext(context.WithValue(r.Context(), requestKey, id))
		w := &writer{ResponseWriter: plain, limits: &s.cfg.Limits,
			control: http.NewResponseController(plain)}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{ReadCloser: r.Body, limits: &s.cfg.Limits, control: w.control,
				begun: time.Now()}
		}
		setHeaders(w.Header())
		w.Header().Set("X-Request-Id", id)
		begun := time.Now()
		s.metrics.inFlight.Inc()
		defer func() {
			s.metrics.inFlight.Dec()
			fault := recover()
			if fault != nil && fault != http.ErrAbortHandler {
				s.log.Error("panic", "request", id, "route", r.Pattern, "fault", fmt.Sprint(fault),
					"stack", string(debug.Stack()))
				if !w.started() {
					s.writeProblem(w, r, problem(http.StatusInternalServerError, "internal-error",
						"something went wrong here; the log has it under this request's id"))
					fault = nil
				}
			}
			s.metrics.request(r, w.code(), time.Since(begun))
			s.log.Info("request", "request", id, "method", r.Method, "route", r.Pattern,
				"status", w.code(), "ms", time.Since(begun).Milliseconds())
			if fault != nil {
				panic(http.ErrAbortHandler)
			}
		}()
		inner.ServeHTTP(w, r)
	})
}

// writer notes the status and gives every write a deadline, so that a client that
// does not read is not waited for.
type writer struct {
	http.ResponseWriter
	control *http.ResponseController
	limits  *Limits
	status  int
}

func (w *writer) started() bool { return w.status != 0 }

func (w *writer) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	need := time.Duration(float64(len(p)) / float64(w.limits.BytesPerS) * float64(time.Second))
	_ = w.control.SetWriteDeadline(time.Now().Add(w.limits.Grace + need))
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// started reports whether something of an answer was sent.
func started(w http.ResponseWriter) bool {
	o, ok := w.(*writer)
	return ok && o.started()
}

// body is the body of a request, which must come at a certain rate.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	limits  *Limits
	begun   time.Time
	bytes   int64
}

// errSlow is behind the error of a body that came too slowly.
var errSlow = errors.New("server: the body comes too slowly")

func (b *body) Read(p []byte) (int, error) {
	// What came earns time: a client may pause, but not be slow on average.
	earned := time.Duration(float64(b.bytes) / float64(b.limits.BytesPerS) * float64(time.Second))
	deadline := b.begun.Add(b.limits.Grace + earned)
	if most := time.Now().Add(b.limits.Grace); deadline.After(most) {
		deadline = most
	}
	if err := b.control.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	var timeout net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		err = fmt.Errorf("%w: %w", errSlow, err)
	}
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{}) // what comes next is another request
	}
	return n, err
}

// slowProblem is what a client that sends too slowly is told.
func (s *Server) slowProblem() *Problem {
	return problem(http.StatusRequestTimeout, "too-slow", fmt.Sprintf(
		"the file came at less than %d bytes a second", s.cfg.Limits.BytesPerS)).
		withHint("send a smaller file or try a faster connection")
}
