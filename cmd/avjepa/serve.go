package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/encoder"
	"avjepa/internal/library"
	"avjepa/internal/media"
	"avjepa/internal/server"
	"avjepa/internal/server/pages"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	library, model, runs string
	listen               string
	hosts, origins       []string
	token                string
	openToAll            bool
	selfSigned           bool
	cert, key            string
	media                []string
	cache                string
	uploadMB             int
	maxSeconds           float64
	queue                int
	previewMB            int
	browser              bool
	requests             bool
	engine               config.Engine
}

// Where serve looks for what it is not told.
const (
	usualLibrary = "library"
	usualRuns    = "runs"
	usualListen  = "127.0.0.1:8420"
	tokenVar     = "AVJEPA_TOKEN"
)

func newServeCommand(g *globals) *cobra.Command {
	o := &serveOptions{}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Search, library, map and runs in a browser and over HTTP",
		Long: `Answers over HTTP: search by a sound, a picture or a video, where the model looks, the
library, its map, and runs as they train. docs/serve.md describes the API, and so does
GET /v1/openapi.json.

Without flags it serves what there is: the folder library, the model that made its
vectors or else that of runs/latest, and the runs in runs. Only this machine reaches it,
unless --listen says otherwise; then a token is made and printed. AVJEPA_TOKEN in the
environment chooses the token. Ctrl-C ends it after the requests under way.`,
		Example: `  avjepa serve
  avjepa serve --library library --model runs/mine --open
  avjepa serve --listen 0.0.0.0:8420 --tls-self-signed`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runServe(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr(), g)
		},
	}
	f := c.Flags()
	f.StringVar(&o.library, "library", "", "folder of the library; library if not given")
	f.StringVar(&o.model, "model", "", "run folder or checkpoint; the library's own, or runs/latest")
	f.StringVar(&o.runs, "runs", usualRuns, "folder whose folders are runs")
	f.StringVar(&o.listen, "listen", usualListen, "address and port")
	f.StringSliceVar(&o.hosts, "host", nil, "further names under which it answers, behind a proxy")
	f.StringSliceVar(&o.origins, "allow-origin", nil, "origins whose pages may use the API")
	f.StringVar(&o.token, "token", "", "what clients must send; made if not given and --listen is open")
	f.BoolVar(&o.openToAll, "insecure-no-token", false, "everybody who reaches it may use it")
	f.BoolVar(&o.selfSigned, "tls-self-signed", false, "https with a certificate of its own making")
	f.StringVar(&o.cert, "tls-cert", "", "certificate file, for https")
	f.StringVar(&o.key, "tls-key", "", "key file of the certificate")
	f.StringSliceVar(&o.media, "media", nil, "folders below which clients may index; any on loopback")
	f.StringVar(&o.cache, "cache", "", "folder for previews and uploads; one of the user's cache")
	f.IntVar(&o.uploadMB, "max-upload-mb", 64, "size of an uploaded file")
	f.Float64Var(&o.maxSeconds, "max-seconds", 60, "length of an uploaded file")
	f.IntVar(&o.queue, "queue", 64, "requests that may wait for the model")
	f.IntVar(&o.previewMB, "preview-mb", 2048, "disk space for previews")
	f.BoolVar(&o.browser, "open", false, "open it in the browser")
	f.BoolVar(&o.requests, "log-requests", false, "a line on stderr for every request")
	engineFlags(f, &o.engine)
	return c
}

// runServe serves until ctx ends.
func runServe(ctx context.Context, o *serveOptions, out, errOut io.Writer, g *globals) error {
	if err := o.check(); err != nil {
		return err
	}
	level := slog.LevelWarn
	if o.requests {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return usageError(fmt.Errorf("--listen %q: give address and port, such as 127.0.0.1:8420", o.listen))
	}
	if o.cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no folder for previews: %w: give one with --cache", err)
		}
		o.cache = filepath.Join(user, "avjepa", "serve-"+port)
	}
	tools, err := media.Find()
	if err != nil && !g.quiet {
		log.Warn("files cannot be decoded", "error", err)
	}
	model, err := o.openModel(ctx, tools, log)
	if err != nil {
		return err
	}
	if model != nil {
		defer model.close()
	}
	lib, err := openServedLibrary(ctx, cmp.Or(o.library, usualLibrary), model, tools, log)
	if err != nil {
		return err
	}
	defer lib.close()
	if lib.other() && !g.quiet {
		log.Warn("the library was indexed with another model: searches in it are refused until it is indexed again",
			"model", model.info.Name)
	}

	cfg := server.Config{Library: lib, Tools: tools, RunsDir: o.runs, Dir: o.cache, Version: version,
		Log: log, TLS: o.selfSigned || o.cert != "", Origins: o.origins, Token: o.token,
		Limits: server.Limits{UploadBytes: int64(o.uploadMB) << 20, MediaSeconds: o.maxSeconds,
			Queue: o.queue, PreviewBytes: int64(o.previewMB) << 20}}
	if model != nil {
		cfg.Model, cfg.Explainer = model, model
	}
	o.secure(&cfg, host)
	site, err := pages.New()
	if err != nil {
		return err
	}
	cfg.Pages, cfg.ErrorPage, cfg.Public = site.Register, site.ErrorPage, pages.Public
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	listener, err := o.open(cfg.Dir, host)
	if err != nil {
		return err
	}
	scheme := "http"
	if cfg.TLS {
		scheme = "https"
	}
	urls := addresses(scheme, listener.Addr(), host, cfg.Token)
	if err := showServe(out, urls, s, g.json); err != nil {
		return err
	}
	if o.browser {
		openBrowser(urls[0])
	}
	return s.Serve(ctx, listener)
}

func (o *serveOptions) check() error {
	switch {
	case o.uploadMB < 1 || o.uploadMB > 4096:
		return usageError(fmt.Errorf("--max-upload-mb %d: must be 1 to 4096", o.uploadMB))
	case !(o.maxSeconds >= 1 && o.maxSeconds <= 3600):
		return usageError(fmt.Errorf("--max-seconds %v: must be 1 to 3600", o.maxSeconds))
	case o.queue < 1 || o.queue > 10000:
		return usageError(fmt.Errorf("--queue %d: must be 1 to 10000", o.queue))
	case o.previewMB < 1:
		return usageError(fmt.Errorf("--preview-mb %d: must be positive", o.previewMB))
	case (o.cert == "") != (o.key == ""):
		return usageError(errors.New("--tls-cert and --tls-key belong together"))
	case o.selfSigned && o.cert != "":
		return usageError(errors.New("--tls-self-signed makes a certificate: leave --tls-cert out"))
	}
	for _, origin := range o.origins {
		if err := server.CheckOrigin(origin); err != nil {
			return usageError(fmt.Errorf("--allow-origin: %w", err))
		}
	}
	for i, dir := range o.media {
		abs, err := filepath.Abs(dir)
		if err == nil {
			abs, err = filepath.EvalSymlinks(abs)
		}
		if err != nil {
			return usageError(fmt.Errorf("--media: %w", err))
		}
		o.media[i] = abs
	}
	if o.token == "" {
		o.token = os.Getenv(tokenVar)
	}
	if o.token != "" && (len(o.token) < 8 || strings.ContainsAny(o.token, " \t\r\n")) {
		return usageError(errors.New("--token: at least 8 characters, without spaces"))
	}
	return nil
}

// openModel opens the model that is named, else the one there is; nil when there is none.
func (o *serveOptions) openModel(ctx context.Context, tools media.Tools, log *slog.Logger) (
	*servedModel, error) {

	if o.model != "" {
		return openServed(o.model, o, tools)
	}
	tries := []string{filepath.Join(o.runs, latestName)}
	if l, err := library.Open(ctx, cmp.Or(o.library, usualLibrary), library.Options{}); err == nil {
		if about, ok := l.Model(); ok {
			tries = slices.Insert(tries, 0, about.Path)
		}
		l.Close()
	}
	for _, path := range tries {
		run, err := encoder.Read(path)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				log.Warn("a model cannot be opened", "path", path, "error", err)
			}
			continue
		}
		return openServedRun(run, path, o, tools)
	}
	return nil, nil
}

// secure decides who may use the server.
func (o *serveOptions) secure(cfg *server.Config, host string) {
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	cfg.IndexRoots = o.media
	if loopback {
		cfg.Hosts = append(slices.Clone(server.LoopbackHosts), o.hosts...)
		if o.token == "" {
			return
		}
	}
	if !loopback {
		cfg.Limits.RatePerS = 10
		if cfg.IndexRoots == nil {
			cfg.IndexRoots = []string{}
		}
	}
	if o.openToAll {
		cfg.Token = ""
		return
	}
	cfg.Token = cmp.Or(o.token, rand.Text())
}

// open listens, with https where it is asked for.
func (o *serveOptions) open(dir, host string) (net.Listener, error) {
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("%w: another --listen, or end what answers there", err)
	}
	var pair tls.Certificate
	switch {
	case o.cert != "":
		pair, err = tls.LoadX509KeyPair(o.cert, o.key)
	case o.selfSigned:
		pair, err = selfSigned(dir, append([]string{host}, o.hosts...))
	default:
		return listener, nil
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair},
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

// addresses returns the URLs under which the server answers, with the token where one is
// asked for. It stands behind a # so that no log has it.
func addresses(scheme string, addr net.Addr, host, token string) []string {
	_, port, _ := net.SplitHostPort(addr.String())
	names := []string{host}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		names = nil
		found, _ := net.InterfaceAddrs()
		for _, a := range found {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				names = append(names, n.IP.String())
			}
		}
		names = append(names, "127.0.0.1")
	}
	var urls []string
	for _, name := range names {
		u := scheme + "://" + net.JoinHostPort(name, port) + "/"
		if token != "" {
			u += "#t=" + token
		}
		urls = append(urls, u)
	}
	return urls
}

// showServe says where the server is and what it has loaded.
func showServe(out io.Writer, urls []string, s *server.Server, asJSON bool) error {
	cfg, model := s.Config(), ""
	if m, ok := s.Model(); ok {
		model = m.Name
	}
	info, err := s.Library(context.Background())
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, map[string]any{"urls": urls, "token": cfg.Token, "model": model,
			"library": info.Name, "clips": info.Clips})
	}
	fmt.Fprintf(out, "%s\n", strings.Join(urls, "\n"))
	if model == "" {
		model = "no model"
	}
	_, err = fmt.Fprintf(out, "%s, %s in %s, runs in %s. Ctrl-C ends it.\n", model, amount(info.Clips, "clips"),
		info.Name, cfg.RunsDir)
	return err
}

// openBrowser tries to; the URL is on the screen anyway.
func openBrowser(url string) {
	var c *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		c = exec.Command("open", url)
	case "windows":
		c = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	default:
		c = exec.Command("xdg-open", url)
	}
	if c.Start() == nil {
		go c.Wait()
	}
}
