package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is what /metrics tells. No label holds a path, an id or anything else that
// clients choose.
type metrics struct {
	handler http.Handler

	requests      *prometheus.CounterVec
	durations     *prometheus.HistogramVec
	inFlight      prometheus.Gauge
	uploaded      prometheus.Counter
	decodeSeconds prometheus.Histogram
	outcomes      *prometheus.CounterVec
	embedSeconds  *prometheus.HistogramVec
	batch         prometheus.Histogram
	cache         *prometheus.CounterVec
	queue         prometheus.Gauge
	rejections    prometheus.Counter
	searchSeconds prometheus.Histogram
	previewBytes  prometheus.Gauge
}

func newMetrics(s *Server) *metrics {
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "avjepa_http_requests_total", Help: "Requests answered."},
			[]string{"route", "method", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "avjepa_http_request_duration_seconds", Help: "Time to answer a request.",
			Buckets: seconds}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "avjepa_http_requests_in_flight", Help: "Requests being answered."}),
		uploaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "avjepa_upload_bytes_total", Help: "Bytes of files received."}),
		decodeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "avjepa_decode_duration_seconds", Help: "Time to decode a file.", Buckets: seconds}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "avjepa_decode_outcomes_total", Help: "What became of decoded files."},
			[]string{"outcome"}),
		embedSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "avjepa_embed_duration_seconds", Help: "Time of one call of the model.",
			Buckets: seconds}, []string{"modality"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "avjepa_embed_batch_clips", Help: "Windows in one call of the model.",
			Buckets: []float64{1, 2, 3, 4, 6, 8, 12, 16}}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "avjepa_embed_cache_requests_total", Help: "Vectors asked of the cache."},
			[]string{"result"}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "avjepa_queue_clips", Help: "Requests that wait for the model or a decoder."}),
		rejections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "avjepa_queue_rejections_total", Help: "Requests refused because too many waited."}),
		searchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "avjepa_search_duration_seconds", Help: "Time to compare a query with the library.",
			Buckets: seconds}),
		previewBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "avjepa_preview_cache_bytes", Help: "Bytes of previews on disk."}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "avjepa_build_info",
		Help: "1; the label is the version.", ConstLabels: prometheus.Labels{"version": s.cfg.Version}})
	build.Set(1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.requests, m.durations, m.inFlight, m.uploaded, m.decodeSeconds, m.outcomes,
		m.embedSeconds, m.batch, m.cache, m.queue, m.rejections, m.searchSeconds, m.previewBytes,
		build, &libraryCollector{s}, &jobsCollector{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	return m
}

func (m *metrics) request(r *http.Request, code int, took time.Duration) {
	route := r.Pattern
	if _, path, ok := strings.Cut(route, " "); ok {
		route = path
	}
	if route == "" {
		route = "none"
	}
	method := r.Method
	switch method {
	case "GET", "HEAD", "POST", "DELETE", "OPTIONS":
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(code)).Inc()
	m.durations.WithLabelValues(route).Observe(took.Seconds())
}

// libraryCollector asks the library for its size when metrics are read.
type libraryCollector struct{ s *Server }

var (
	libraryClips = prometheus.NewDesc("avjepa_library_clips", "Clips in the library.", nil, nil)
	libraryBytes = prometheus.NewDesc("avjepa_library_size_bytes",
		"Bytes of the library's own files.", nil, nil)
	jobsDesc = prometheus.NewDesc("avjepa_jobs", "Jobs that are remembered.", []string{"state"}, nil)
)

func (c *libraryCollector) Describe(d chan<- *prometheus.Desc) { d <- libraryClips; d <- libraryBytes }

func (c *libraryCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(c.s.ctx, 5*time.Second)
	defer cancel()
	info, err := c.s.Library(ctx)
	if err != nil {
		return
	}
	out <- prometheus.MustNewConstMetric(libraryClips, prometheus.GaugeValue, float64(info.Clips))
	out <- prometheus.MustNewConstMetric(libraryBytes, prometheus.GaugeValue, float64(info.Bytes))
}

// jobsCollector counts jobs by state.
type jobsCollector struct{ s *Server }

func (c *jobsCollector) Describe(d chan<- *prometheus.Desc) { d <- jobsDesc }

func (c *jobsCollector) Collect(out chan<- prometheus.Metric) {
	counts := map[JobState]int{JobQueued: 0, JobRunning: 0, JobDone: 0, JobFailed: 0, JobCanceled: 0}
	for _, j := range c.s.Jobs() {
		counts[j.State]++
	}
	for state, n := range counts {
		out <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(n), string(state))
	}
}

func (s *Server) getPrometheus(w http.ResponseWriter, r *http.Request) error {
	s.metrics.handler.ServeHTTP(w, r)
	return nil
}
