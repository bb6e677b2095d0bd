package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/server"
)

// Bounds of a look at a folder.
const (
	checkEntries = 1_000_000 // files and folders
	checkProbes  = 12        // files whose length is read
	checkEmbeds  = 3         // files that are embedded, to see how long that takes
	checkProbeS  = 8 * time.Second
	checkWorkS   = 15 * time.Second
)

// Check counts what a folder holds, and measures a few of its files.
func (x *serveStarter) Check(ctx context.Context, folder string, m server.Model) (*server.StartPlan, error) {
	if err := countEntries(ctx, folder); err != nil {
		return nil, err
	}
	list, err := manifest.Read([]string{folder}, manifest.Options{})
	if err != nil {
		return nil, noMedia()
	}
	p := &server.StartPlan{DiskFree: int64(diskFreeBytes("."))}
	var files []manifest.Entry
	sizes := map[string]int64{}
	for _, e := range list.Entries {
		st, err := os.Stat(e.Path)
		if err != nil || e.Missing != "" {
			continue
		}
		if _, twice := sizes[e.Path]; !twice {
			sizes[e.Path] = st.Size()
			p.Bytes += st.Size()
			files = append(files, e)
		}
	}
	if p.Files = len(files); p.Files == 0 {
		return nil, noMedia()
	}
	x.measureLength(ctx, p, files, sizes)
	if m == nil {
		err = x.measureIngest(ctx, p, list)
	} else {
		err = x.measureEmbed(ctx, p, files, sizes, m)
	}
	return p, err
}

func noMedia() *server.Problem {
	return server.NewProblem(422, "no-media", "there are no videos, sounds or pictures in the folder")
}

// countEntries walks a folder until there is too much in it, so that the list that is made of
// it is bounded.
func countEntries(ctx context.Context, folder string) error {
	n := 0
	return filepath.WalkDir(folder, func(_ string, _ fs.DirEntry, err error) error {
		if n++; n > checkEntries {
			return server.NewProblem(422, "folder-too-large", "there are more than a million files in the folder").
				WithHint("avjepa ingest and avjepa index take it, without a bound")
		}
		if err != nil {
			return nil // of what cannot be read nothing is counted
		}
		return ctx.Err()
	})
}

// measureLength reads how long a few files are, and scales that by bytes.
func (x *serveStarter) measureLength(ctx context.Context, p *server.StartPlan, files []manifest.Entry,
	sizes map[string]int64) {

	ctx, cancel := context.WithTimeout(ctx, checkProbeS)
	defer cancel()
	seconds, bytes := 0.0, int64(0)
	for _, e := range evenly(files, checkProbes) {
		info, err := x.tools.Probe(ctx, e.Path, media.Limits{})
		if ctx.Err() != nil {
			break
		}
		if bytes += sizes[e.Path]; err == nil && info.Seconds > 0 { // a broken file counts, with no length
			seconds += info.Seconds
		}
		p.Measured++
	}
	if bytes > 0 {
		p.Seconds = seconds * float64(p.Bytes) / float64(bytes)
	}
}

// measureIngest makes shards of a few clips as the demo would.
func (x *serveStarter) measureIngest(ctx context.Context, p *server.StartPlan, list manifest.List) error {
	cfg, err := (&settings{preset: "tiny"}).resolve()
	if err != nil {
		return err
	}
	ingest := ingestOptions{shortSide: cfg.View.Resize, fps: dataset.DefaultIngestConfig().Settings.FPS,
		clipSeconds: 10, valFraction: .2}
	in := ingest.config(&list)
	in.Decoder = x.tools
	ctx, cancel := context.WithTimeout(ctx, checkWorkS)
	defer cancel()
	plan, err := planIngest(ctx, in, &list)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // too slow to say anything
	}
	if err == nil {
		p.WorkSeconds, p.DiskBytes = plan.Seconds, plan.DiskBytes
	}
	return err
}

// measureEmbed reads and embeds a few files, and scales the time by bytes.
func (x *serveStarter) measureEmbed(ctx context.Context, p *server.StartPlan, files []manifest.Entry,
	sizes map[string]int64, m server.Model) error {

	ctx, cancel := context.WithTimeout(ctx, checkWorkS)
	defer cancel()
	began, bytes := time.Now(), int64(0)
	for _, e := range evenly(files, checkEmbeds) {
		medium, err := m.Read(ctx, e.Path, media.Limits{MaxSeconds: 600})
		if ctx.Err() != nil {
			return nil
		}
		bytes += sizes[e.Path]
		if err != nil {
			continue
		}
		for _, of := range allModalities {
			if has := (of == server.Video || medium.HasAudio) && (of == server.Audio || medium.HasVideo); !has {
				continue
			}
			if _, err := m.Embed(ctx, only(medium.Windows, of), of); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
	}
	if bytes > 0 {
		p.WorkSeconds = time.Since(began).Seconds() * float64(p.Bytes) / float64(bytes)
	}
	// A row of a clip, and a vector for each modality.
	p.DiskBytes = int64(p.Files) * int64(rowBytes+len(allModalities)*4*m.Info().Projected)
	return nil
}

// rowBytes is about what a library keeps of a clip beside its vectors.
const rowBytes = 4096

// only returns windows without the modality that is not asked for.
func only(windows []server.Window, of server.Modality) []server.Window {
	out := append([]server.Window(nil), windows...)
	for i := range out {
		switch of {
		case server.Audio:
			out[i].Video = nil
		case server.Video:
			out[i].Audio = nil
		}
	}
	return out
}
