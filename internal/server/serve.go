package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of connections.
const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	maxConnections = 1024
)

// Serve answers on a listener until ctx ends. Then it takes no more connections, gives
// requests Limits.Drain to finish, and cuts off those that have not. The caller closes
// the server after that.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	h := &http.Server{Handler: s.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(netutil.LimitListener(listener, maxConnections)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.beginStop()
	drain, cancel := context.WithTimeout(context.Background(), s.cfg.Limits.Drain)
	defer cancel()
	err := h.Shutdown(drain)
	if err != nil {
		s.log.Warn("requests are cut off", "error", err)
		err = h.Close()
	}
	if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
