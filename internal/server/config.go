package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"avjepa/internal/media"
)

// Config says what a Server serves and to whom. Library, Model, Explainer and Tools
// may be absent: the routes that need them then answer 503 and say what is missing.
type Config struct {
	Library   Library
	Model     Model
	Explainer Explainer
	Starter   Starter     // nil: the server starts nothing by itself
	Tools     media.Tools // zero: there is no ffmpeg

	MemoryBytes int64 // of this machine; 0: not known

	RunsDir string // whose folders are runs; "": none
	// Dir is a folder of the server's own, for uploads and previews; it is made if
	// needed and kept to this process.
	Dir     string
	Version string
	Log     *slog.Logger // nil: nothing is logged

	// Pages registers the pages: everything outside /v1, /healthz, /readyz and
	// /metrics. Its handlers are behind the same checks as the API.
	Pages func(mux *http.ServeMux, s *Server)
	// ErrorPage shows a problem to a browser. It must set Content-Type and write
	// p.Status.
	ErrorPage func(w http.ResponseWriter, r *http.Request, p *Problem)
	// Public lists prefixes of paths that need no token, such as "/assets/": what
	// the page that asks for it is made of.
	Public []string

	Token string // "": everybody who reaches the server may use it
	TLS   bool   // the cookie is for https alone
	// Hosts are the names under which the server answers, without port. Nil: any,
	// which is right only where a token is asked for.
	Hosts []string
	// Addresses are those that were told to people, with the token. They are known when the
	// server listens, and may be set until it serves.
	Addresses []string
	// Origins may read answers from pages of their own and send requests that
	// change something, such as "https://notes.example".
	Origins []string
	// IndexRoots are the folders below which clients may have folders indexed; nil:
	// any.
	IndexRoots []string

	Limits Limits
}

// LoopbackHosts are the names of a server that only this machine reaches. Others in
// a Host header mean that a page from elsewhere had its name point here (DNS
// rebinding).
var LoopbackHosts = []string{"localhost", "127.0.0.1", "::1"}

// Limits bound what clients can make the server do. A zero field is its default.
type Limits struct {
	UploadBytes  int64         // of one file: 64 MiB
	MediaSeconds float64       // of one file: 60
	Decoders     int           // files decoded at once: cores
	BatchClips   int           // windows in one call of the model: 8
	BatchWait    time.Duration // that a first window waits for others: 5 ms
	Queue        int           // requests that wait for the model or for a decoder: 64
	BytesPerS    int64         // a slower body or reader is cut off: 16 KiB
	Grace        time.Duration // before the rate counts: 10 s
	QueryAge     time.Duration // a query is kept: 15 min
	QueryBytes   int64         // all kept queries and decoded clips: 256 MiB
	Embeddings   int           // files whose vectors are kept: 4096
	PreviewBytes int64         // previews and pictures on disk: 2 GiB
	PreviewWait  time.Duration // that a request waits for a preview: 20 s
	Jobs         int           // jobs that are remembered: 100
	Streams      int           // event streams at once: 64
	RatePerS     float64       // requests of one address a second; 0: any number
	Burst        int           // of them at once: 20
	Drain        time.Duration // for requests to finish when the server stops: 20 s
}

func (l Limits) withDefaults() Limits {
	def(&l.UploadBytes, 64<<20)
	def(&l.MediaSeconds, 60)
	def(&l.Decoders, runtime.GOMAXPROCS(0))
	def(&l.BatchClips, 8)
	def(&l.BatchWait, 5*time.Millisecond)
	def(&l.Queue, 64)
	def(&l.BytesPerS, 16<<10)
	def(&l.Grace, 10*time.Second)
	def(&l.QueryAge, 15*time.Minute)
	def(&l.QueryBytes, 256<<20)
	def(&l.Embeddings, 4096)
	def(&l.PreviewBytes, 2<<30)
	def(&l.PreviewWait, 20*time.Second)
	def(&l.Jobs, 100)
	def(&l.Streams, 64)
	def(&l.Burst, 20)
	def(&l.Drain, 20*time.Second)
	return l
}

func def[T int | int64 | float64 | time.Duration](v *T, d T) {
	if !(*v > 0) {
		*v = d
	}
}

// media returns the bounds of one uploaded file.
func (l *Limits) media() media.Limits {
	return media.Limits{Timeout: time.Minute, MaxSeconds: l.MediaSeconds, MaxBytes: 256 << 20,
		MaxPixels: 4096 * 4096, MaxStreams: 32, MaxLogBytes: 16 << 20}
}

// openDir makes the server's folder, for this user alone.
func openDir(dir string) (*os.Root, error) {
	if dir == "" {
		return nil, fmt.Errorf("server: Config.Dir is empty: uploads and previews need a folder")
	}
	for _, d := range []string{dir, filepath.Join(dir, uploadsDir), filepath.Join(dir, previewsDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
	}
	return os.OpenRoot(dir)
}

// Folders within Config.Dir.
const (
	uploadsDir  = "uploads"
	previewsDir = "previews"
)
