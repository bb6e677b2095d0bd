// Command serve puts a load on avjepa serve and says how it bears it: clients that ask
// again as soon as they are answered, for vectors of files that are new, for those of a
// file that is known, and for searches from clips of the library. The processor time is
// the server's own, without that of ffmpeg.
//
//	avjepa serve --model runs/demo --library library --queue 128
//	go run ./bench/serve --url http://127.0.0.1:8420 --clients 64 --each 60s
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type options struct {
	url, token string
	clients    int
	each       time.Duration
	seconds    float64 // of a sound that is sent
	modes      string
}

func main() {
	var o options
	flag.StringVar(&o.url, "url", "http://127.0.0.1:8420", "of the server")
	flag.StringVar(&o.token, "token", "", "if it asks for one")
	flag.IntVar(&o.clients, "clients", 64, "that ask at once")
	flag.DurationVar(&o.each, "each", time.Minute, "time for each kind of request")
	flag.Float64Var(&o.seconds, "seconds", 3, "length of the sounds that are sent")
	flag.StringVar(&o.modes, "modes", "new,known,search", "kinds of requests")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// request makes the n-th request of a kind.
type request func(n int64) (*http.Request, error)

func run(o options) error {
	client := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: o.clients, MaxConnsPerHost: o.clients}}
	l := &load{o: o, client: client}
	clips, err := l.clips()
	if err != nil {
		return err
	}
	kinds := map[string]request{
		"new":   func(n int64) (*http.Request, error) { return l.upload(n + time.Now().UnixNano()) },
		"known": func(int64) (*http.Request, error) { return l.upload(7) },
		"search": func(n int64) (*http.Request, error) {
			in := fmt.Sprintf(`{"clip": %q, "from": "audio", "to": "video", "limit": 24}`,
				clips[n%int64(len(clips))])
			return l.post("/v1/search", "application/json", strings.NewReader(in))
		},
	}
	fmt.Printf("%d clients, %v each; sounds of %v s, %d clips asked with\n\n", o.clients, o.each, o.seconds,
		len(clips))
	fmt.Println("| requests | a second | p50 | p99 | most | CPU each | not 200 | RSS first | median | most | last |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, mode := range strings.Split(o.modes, ",") {
		make_, ok := kinds[mode]
		if !ok {
			return fmt.Errorf("--modes %s: there are new, known, search", mode)
		}
		if mode == "search" && len(clips) == 0 {
			return errors.New("search needs a library with clips")
		}
		if err := l.measure(mode, make_); err != nil {
			return err
		}
	}
	return nil
}

type load struct {
	o      options
	client *http.Client
}

// measure asks for o.each and prints a row.
func (l *load) measure(mode string, make_ request) error {
	var n atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	other := map[string]int{}
	end := time.Now().Add(l.o.each)
	var group sync.WaitGroup
	for range l.o.clients {
		group.Go(func() {
			for time.Now().Before(end) {
				begun := time.Now()
				status, err := l.once(make_, n.Add(1))
				mu.Lock()
				switch {
				case err != nil:
					other[err.Error()]++
				case status != http.StatusOK:
					other[strconv.Itoa(status)]++
				default:
					took = append(took, time.Since(begun))
				}
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	memory := make(chan []float64)
	go func() { memory <- l.watch(done) }()
	begun := time.Now()
	before, err := l.metric("process_cpu_seconds_total")
	if err != nil {
		return err
	}
	group.Wait()
	elapsed := time.Since(begun)
	after, err := l.metric("process_cpu_seconds_total")
	if err != nil {
		return err
	}
	close(done)
	rss := <-memory
	if len(took) == 0 {
		return fmt.Errorf("%s: no request was answered: %v", mode, other)
	}
	slices.Sort(took)
	at := func(q float64) string {
		return fmt.Sprintf("%.0f ms", float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds())/1000)
	}
	mb := func(x float64) string { return fmt.Sprintf("%.0f MB", x/1e6) }
	sorted := slices.Sorted(slices.Values(rss))
	fmt.Printf("| %s | %.1f | %s | %s | %s | %.1f ms | %s | %s | %s | %s | %s |\n", mode,
		float64(len(took))/elapsed.Seconds(), at(.5), at(.99), at(1),
		1000*(after-before)/float64(len(took)), counts(other), mb(rss[0]),
		mb(sorted[len(sorted)/2]), mb(sorted[len(sorted)-1]), mb(rss[len(rss)-1]))
	return nil
}

func counts(of map[string]int) string {
	if len(of) == 0 {
		return "0"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s: %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}

func (l *load) once(make_ request, n int64) (int, error) {
	r, err := make_(n)
	if err != nil {
		return 0, err
	}
	res, err := l.client.Do(r)
	if err != nil {
		return 0, errors.New("no answer")
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// watch reads the server's memory once a second until done.
func (l *load) watch(done chan struct{}) []float64 {
	var out []float64
	for {
		if x, err := l.metric("process_resident_memory_bytes"); err == nil {
			out = append(out, x)
		}
		select {
		case <-done:
			if len(out) == 0 {
				out = []float64{0}
			}
			return out
		case <-time.After(time.Second):
		}
	}
}

// metric reads one of the server's metrics.
func (l *load) metric(name string) (float64, error) {
	text, err := l.get("/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.New("/metrics has no " + name)
}

// clips returns ids of clips with sound.
func (l *load) clips() ([]string, error) {
	text, err := l.get("/v1/clips?has=audio&limit=200")
	if err != nil {
		return nil, err
	}
	var page struct{ Items []struct{ ID string } }
	err = json.Unmarshal(text, &page)
	var ids []string
	for _, c := range page.Items {
		ids = append(ids, c.ID)
	}
	return ids, err
}

func (l *load) get(path string) ([]byte, error) {
	r, err := http.NewRequest("GET", l.o.url+path, nil)
	if err != nil {
		return nil, err
	}
	l.sign(r)
	res, err := l.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.200s", path, res.Status, text)
	}
	return text, err
}

func (l *load) post(path, kind string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequest("POST", l.o.url+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	l.sign(r)
	return r, nil
}

func (l *load) sign(r *http.Request) {
	if l.o.token != "" {
		r.Header.Set("Authorization", "Bearer "+l.o.token)
	}
}

// upload asks for the vector of a sound, which another seed makes another file.
func (l *load) upload(seed int64) (*http.Request, error) {
	const rate = 16000
	n := int(l.o.seconds * rate)
	sound := make([]byte, 44+2*n)
	copy(sound, "RIFF----WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data")
	put := func(at int, x uint32) {
		sound[at], sound[at+1], sound[at+2], sound[at+3] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24)
	}
	put(4, uint32(36+2*n))
	put(40, uint32(2*n))
	state := uint64(seed)
	for i := range n { // noise: there is nothing to compress or to guess
		state = state*6364136223846793005 + 1442695040888963407
		sound[44+2*i], sound[45+2*i] = byte(state>>40), byte(state>>48)&0x0f
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	form.WriteField("modality", "audio")
	part, err := form.CreateFormFile("file", "noise.wav")
	if err == nil {
		_, err = part.Write(sound)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return nil, err
	}
	return l.post("/v1/embed", form.FormDataContentType(), &b)
}
