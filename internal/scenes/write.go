package scenes

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"avjepa/internal/durable"
	"avjepa/internal/media"
)

// Names of the files that Write makes beside the videos.
const (
	ManifestName = "scenes.csv"  // path,label,split,start,end,key
	TruthName    = "truth.csv"   // what was drawn: one row per scene, same keys
	configName   = "scenes.json" // the config the videos were made from
)

// version counts changes of the rendering: files of another version are made
// anew.
const version = 1

// stamp is the content of scenes.json.
type stamp struct {
	Version int    `json:"version"`
	Config  Config `json:"config"`
}

// Write makes the scenes of cfg in dir: videos train-000.mp4, …,
// heldout-000.mp4, …, the manifest scenes.csv and the ground truth truth.csv.
// Every file appears under its name only when complete, the manifest last. A
// second call with the same config keeps the videos that exist; with another
// config it replaces those of the config before. progress, if not nil, is
// called with the number of scenes done and wanted, one call at a time.
//
// It is an error if dir holds videos of ours without the config they were made
// from. A cancelled ctx stops at the next picture and leaves whole files.
func Write(ctx context.Context, tools media.Tools, dir string, cfg Config,
	progress func(done, total int)) error {

	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	if err := claim(dir, cfg); err != nil {
		return err
	}
	if err := writeReels(ctx, tools, dir, cfg, progress); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, TruthName), cfg.truth()); err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, ManifestName), cfg.manifest())
}

// claim makes dir hold nothing but videos of cfg, and its scenes.json.
func claim(dir string, cfg Config) error {
	want, err := json.MarshalIndent(stamp{version, cfg}, "", "  ")
	if err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	want = append(want, '\n')
	path := filepath.Join(dir, configName)
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, want) {
		return nil
	}
	var old stamp
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, r := range cfg.reels() {
			if _, err := os.Lstat(filepath.Join(dir, r.name())); err == nil {
				return fmt.Errorf("scenes: %s holds %s but no %s: choose another folder",
					dir, r.name(), configName)
			}
		}
	case err != nil:
		return fmt.Errorf("scenes: %w", err)
	case json.Unmarshal(have, &old) != nil || old.Config.ScenesPerFile < 1 ||
		max(old.Config.Train, old.Config.HeldOut) > maxScenes:
		return fmt.Errorf("scenes: %s is not readable: remove %s or choose another folder",
			path, dir)
	default:
		names := []string{ManifestName, TruthName}
		for _, r := range old.Config.reels() {
			names = append(names, r.name())
		}
		for _, name := range names {
			err := os.Remove(filepath.Join(dir, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("scenes: %w", err)
			}
		}
	}
	return replaceFile(path, want)
}

// writeReels encodes the missing videos, cfg.Workers at a time.
func writeReels(ctx context.Context, tools media.Tools, dir string, cfg Config,
	progress func(done, total int)) error {

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	done, total := 0, cfg.Train+cfg.HeldOut
	advance := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		if progress != nil {
			progress(done, total)
		}
	}
	work := make(chan reel)
	var wg sync.WaitGroup
	for range cfg.Workers {
		wg.Go(func() {
			for r := range work {
				if err := writeReel(ctx, tools, dir, cfg, r, advance); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for _, r := range cfg.reels() {
		select {
		case work <- r:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// writeReel makes one video unless it exists; media.Encode leaves only whole ones.
func writeReel(ctx context.Context, tools media.Tools, dir string, cfg Config, r reel,
	advance func(int)) error {

	path := filepath.Join(dir, r.name())
	if _, err := os.Stat(path); err == nil {
		advance(r.end - r.first)
		return nil
	}
	if err := cfg.encode(ctx, tools, path, r, func() { advance(1) }); err != nil {
		return fmt.Errorf("scenes: making %s: %w", path, err)
	}
	return nil
}

// eachScene calls do for all scenes in the order of the manifest.
func (c Config) eachScene(do func(r reel, i int, key string, s Scene)) {
	for _, r := range c.reels() {
		for i := range r.end - r.first {
			index := r.first + i
			do(r, i, fmt.Sprintf("%s-%05d", r.split, index), c.Scene(r.split, index))
		}
	}
}

// manifest returns scenes.csv: where each scene lies, start and end in seconds
// of its file.
func (c Config) manifest() []byte {
	rows := [][]string{{"path", "label", "split", "start", "end", "key"}}
	c.eachScene(func(r reel, i int, key string, s Scene) {
		start := float64(c.startFrame(i)) / c.FPS
		rows = append(rows, []string{r.name(), s.Kind.String(), string(r.split),
			number(start), number(start + c.Seconds), key})
	})
	return csvBytes(rows)
}

// truth returns truth.csv: what each scene was drawn from. impacts are the
// times in seconds from the start of the scene, separated by spaces.
func (c Config) truth() []byte {
	rows := [][]string{{"key", "label", "size", "radius", "pitch_hz", "polish", "daylight", "spin",
		"gravity", "restitution", "impacts"}}
	c.eachScene(func(_ reel, _ int, key string, s Scene) {
		_, impacts := s.Move(c.FPS, c.Seconds)
		var times []byte
		for i, hit := range impacts {
			if i > 0 {
				times = append(times, ' ')
			}
			times = strconv.AppendFloat(times, hit.Time, 'f', 3, 64)
		}
		rows = append(rows, []string{key, s.Kind.String(), number(s.Size), number(s.Radius()),
			number(s.PitchHz()), number(s.Polish), number(s.Daylight), number(s.Spin), number(s.Gravity),
			number(s.Restitution), string(times)})
	})
	return csvBytes(rows)
}

// number prints v with at most six digits after the point, NaN as nothing.
func number(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}

func csvBytes(rows [][]string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		panic("scenes: writing to memory failed: " + err.Error())
	}
	return b.Bytes()
}

// replaceFile writes data to a new file in path's folder, syncs it and gives
// it the name path.
func replaceFile(path string, data []byte) error {
	err := durable.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	return nil
}
