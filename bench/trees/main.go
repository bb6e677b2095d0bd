// Command trees writes a tree of small films for a list of clips, as somebody has it
// who downloaded what of the list still exists: some files are missing, some broken.
// Every film is another one, so that none is a duplicate.
//
//	trees -list vggsound_test.csv -out data/vgg -missing 0.2 -broken 0.01
//	trees -list eval_segments.csv -out data/as -missing 0.2 -from data/vgg
//	trees -films 1000 -seconds 100 -out data/films
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/rng"
)

// forest says what to write.
type forest struct {
	list, out, from string
	films           int // without a list
	seconds         float64
	side            int // pixels; frames are side × 3·side/4
	fps             float64
	missing, broken float64
	seed            uint64
}

func main() {
	var f forest
	flag.StringVar(&f.list, "list", "", "list of clips; empty for -films numbered ones")
	flag.StringVar(&f.out, "out", "", "folder to write")
	flag.StringVar(&f.from, "from", "", "folder of films to link to, by turns, instead of making some")
	flag.IntVar(&f.films, "films", 100, "number of films without a list")
	flag.Float64Var(&f.seconds, "seconds", 1.5, "length of a film")
	flag.IntVar(&f.side, "side", 64, "pixels of a frame's long side, a multiple of 8")
	flag.Float64Var(&f.fps, "fps", 10, "frames per second")
	flag.Float64Var(&f.missing, "missing", 0, "share of the films that are left away")
	flag.Float64Var(&f.broken, "broken", 0, "share of the films that are damaged")
	flag.Uint64Var(&f.seed, "seed", 1, "seed of everything")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := f.grow(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "trees: "+err.Error())
		os.Exit(1)
	}
}

// names returns the file names of the films, without extension.
func (f *forest) names() ([]string, error) {
	var names []string
	if f.list == "" {
		for i := range f.films {
			names = append(names, fmt.Sprintf("film%06d", i))
		}
		return names, nil
	}
	list, err := manifest.Read([]string{f.list}, manifest.Options{})
	if err != nil {
		return nil, err
	}
	for _, e := range list.Entries {
		names = append(names, e.Key)
	}
	return names, nil
}

func (f *forest) grow(ctx context.Context) error {
	if f.out == "" || f.side < 16 || f.side%8 != 0 || !(f.seconds > 0) || !(f.fps > 0) {
		return fmt.Errorf("-out %q -side %d -seconds %v -fps %v: want a folder, a side of at least 16 "+
			"and a multiple of 8, a length and a rate", f.out, f.side, f.seconds, f.fps)
	}
	tools, err := media.Find()
	if err != nil {
		return err
	}
	names, err := f.names()
	if err != nil {
		return err
	}
	if f.from != "" {
		return f.link(names)
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return err
	}
	var made, damaged, absent atomic.Int64
	queue, errs := make(chan string), make(chan error, runtime.NumCPU())
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for name := range queue {
				r := rng.New(f.seed, "fate", name)
				fate := r.Float64()
				if fate < f.missing {
					absent.Add(1)
					continue
				}
				if err := f.film(ctx, tools, name); err != nil {
					errs <- err
					return
				}
				if fate < f.missing+f.broken {
					damaged.Add(1)
					if err := damage(filepath.Join(f.out, name+".mp4"), r); err != nil {
						errs <- err
						return
					}
				}
				made.Add(1)
			}
		})
	}
deal:
	for i, name := range names {
		select {
		case queue <- name:
		case err = <-errs:
			break deal
		}
		if i%1000 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d\n", i, len(names))
		}
	}
	close(queue)
	wg.Wait()
	if err == nil {
		fmt.Printf("%d films, %d of them damaged; %d left away\n", made.Load(), damaged.Load(),
			absent.Load())
	}
	return err
}

// link gives the names to films that are there already.
func (f *forest) link(names []string) error {
	films, err := filepath.Glob(filepath.Join(f.from, "[^.]*.mp4"))
	if err == nil && len(films) == 0 {
		err = fmt.Errorf("no *.mp4 in %s", f.from)
	}
	if err == nil {
		err = os.MkdirAll(f.out, 0o755)
	}
	made := 0
	for _, name := range names {
		if rng.New(f.seed, "fate", name).Float64() < f.missing {
			continue
		}
		if err == nil {
			err = os.Link(films[made%len(films)], filepath.Join(f.out, name+".mp4"))
		}
		made++
	}
	if err == nil {
		fmt.Printf("%d names of %d films; %d left away\n", made, len(films), len(names)-made)
	}
	return err
}

// film writes a disc that wanders over a ground, with a tone that follows it. A film
// that is there already stays.
func (f *forest) film(ctx context.Context, tools media.Tools, name string) error {
	path := filepath.Join(f.out, name+".mp4")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	r := rng.New(f.seed, "film", name)
	var ground, disc [3]float64
	for c := range 3 {
		ground[c], disc[c] = r.Uniform(0, 255), r.Uniform(0, 255)
	}
	w, h := f.side, f.side*3/4
	fx, fy, px, py := r.Uniform(.2, 1.5), r.Uniform(.2, 1.5), r.Float64(), r.Float64()
	size, slope := r.Uniform(.1, .4), r.Uniform(-1, 1)
	at := func(t float64) (x, y float64) {
		return .5 + .4*math.Sin(2*math.Pi*(fx*t+px)), .5 + .4*math.Sin(2*math.Pi*(fy*t+py))
	}
	draw := func(i int, rgb []byte) error {
		x, y := at(float64(i) / f.fps)
		for v := range h {
			for u := range w {
				dx, dy := float64(u)/float64(w)-x, float64(v)/float64(h)-y
				paint := &ground
				if dx*dx+dy*dy < size*size/4 {
					paint = &disc
				}
				shade := 1 + .3*slope*(float64(u+v)/float64(w+h)-.5)
				for c := range 3 {
					rgb[3*(v*w+u)+c] = byte(max(0, min(255, paint[c]*shade)))
				}
			}
		}
		return ctx.Err()
	}
	const rate = 16000
	samples := make([]int16, int(f.seconds*rate))
	phase, pitch := 0., r.Uniform(150, 2500)
	for i := range samples {
		x, y := at(float64(i) / rate)
		phase += pitch * (1 + .3*x) / rate
		samples[i] = int16(8000*y*math.Sin(2*math.Pi*phase) + 200*r.NormFloat64())
	}
	cfg := media.EncodeConfig{Width: w, Height: h, FPS: f.fps, SampleRateHz: rate,
		Preset: "ultrafast", FastAudio: true}
	return tools.Encode(ctx, path, cfg, max(1, int(f.seconds*f.fps)), draw, samples)
}

// damage breaks a file in one of the ways that downloads break.
func damage(path string, r *rng.Stream) error {
	whole, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var text []byte
	switch r.IntN(5) {
	case 0: // nothing arrived
	case 1:
		text = whole[:len(whole)/2]
	case 2:
		text = whole[:min(len(whole), 900)]
	case 3:
		text = []byte("<!DOCTYPE html><html><title>Too many requests</title></html>\n")
	case 4:
		text = make([]byte, 5000)
		for i := range text {
			text[i] = byte(r.Uint32())
		}
	}
	return os.WriteFile(path, text, 0o644)
}
