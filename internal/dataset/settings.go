package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"avjepa/internal/durable"
	"avjepa/internal/media"
)

const (
	settingsFile   = "dataset.json"
	formatVersion  = 2
	maxConfigBytes = 1 << 20
)

// Settings decide what a dataset's clips look like. They are recorded with the
// dataset, and ingest into it goes on only with the same ones.
type Settings struct {
	ShortSide    int             `json:"short_side"` // pixels
	FPS          float64         `json:"fps"`        // stored frames per second
	SampleRateHz int             `json:"sample_rate"`
	MinSeconds   float64         `json:"min_seconds"`  // shorter clips are left out
	JPEGQuality  int             `json:"jpeg_quality"` // 1…100; 0 = the default of media
	SilenceDB    float64         `json:"silence_db"`   // peak below which sound is silent; 0 = default
	ClipSeconds  float64         `json:"clip_seconds"` // longer sources are cut
	ValFraction  float64         `json:"val_fraction"` // of the sources, where no split is given
	Seed         uint64          `json:"seed"`         // of the drawing of splits
	ShardBytes   int64           `json:"shard_bytes"`
	Keep         []media.Outcome `json:"keep"` // outcomes of clips that are kept
}

// validate reports every setting that cannot be used.
func (s *Settings) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.ShortSide < 16 || s.ShortSide > 4096 {
		bad("short_side %d is outside [16, 4096]", s.ShortSide)
	}
	if !(s.FPS > 0 && s.FPS <= 120) {
		bad("fps %v is outside (0, 120]", s.FPS)
	}
	if s.SampleRateHz < 1000 || s.SampleRateHz > 192_000 {
		bad("sample_rate %d is outside [1000, 192000]", s.SampleRateHz)
	}
	if !(s.ClipSeconds >= 1 && s.ClipSeconds <= 3600) {
		bad("clip_seconds %v is outside [1, 3600]", s.ClipSeconds)
	}
	if !(s.MinSeconds >= 0 && s.MinSeconds < s.ClipSeconds) {
		bad("min_seconds %v is outside [0, clip_seconds %v)", s.MinSeconds, s.ClipSeconds)
	}
	if !(s.ValFraction >= 0 && s.ValFraction <= 1) {
		bad("val_fraction %v is outside [0, 1]", s.ValFraction)
	}
	if s.ShardBytes < 1<<10 || s.ShardBytes > 1<<40 {
		bad("shard_bytes %d is outside [1 KiB, 1 TiB]", s.ShardBytes)
	}
	if len(s.Keep) == 0 {
		bad("keep names no outcome: %s is the usual one", media.Usable)
	}
	for _, o := range s.Keep {
		if !o.HasClip() {
			bad("keep names %q, which leaves nothing to keep", o)
		}
	}
	return errors.Join(errs...)
}

type settingsJSON struct {
	Format   int      `json:"format"`
	Settings Settings `json:"settings"`
}

// claim makes dir a dataset with these settings, or checks that it is one.
func claim(dir string, s *Settings) error {
	path := filepath.Join(dir, settingsFile)
	there, err := ReadSettings(dir)
	if err == nil {
		if diff := settingsDiff(&there, s); len(diff) > 0 {
			return fmt.Errorf("dataset: %s: %w: %s; use the same ones, or another folder",
				dir, ErrSettings, strings.Join(diff, "; "))
		}
		return nil
	}
	if !errors.Is(err, ErrNotDataset) {
		return err
	}
	old, err := filepath.Glob(filepath.Join(escapeGlob(dir), "shard-*.tar"))
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	if len(old) > 0 {
		return fmt.Errorf("dataset: %s has shards but no %s: %w; ingest into another folder",
			dir, settingsFile, ErrNotDataset)
	}
	err = durable.WriteFile(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(settingsJSON{formatVersion, *s})
	})
	if err != nil {
		return diskError("dataset: "+path, err)
	}
	return nil
}

// ReadSettings returns the settings that the dataset in dir was made with.
func ReadSettings(dir string) (Settings, error) {
	path := filepath.Join(dir, settingsFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, fmt.Errorf("dataset: %s has no %s: %w", dir, settingsFile, ErrNotDataset)
	}
	if err != nil {
		return Settings{}, fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	var j settingsJSON
	dec := json.NewDecoder(io.LimitReader(f, maxConfigBytes))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return Settings{}, fmt.Errorf("dataset: %s: %w: %w", path, ErrCorrupt, err)
	}
	if j.Format != formatVersion {
		return Settings{}, fmt.Errorf("dataset: %s: %w: format %d, this program reads %d",
			path, ErrCorrupt, j.Format, formatVersion)
	}
	return j.Settings, nil
}

// settingsDiff lists the keys in which two settings differ, with both values.
func settingsDiff(there, asked *Settings) []string {
	var diff []string
	a, b := settingsMap(there), settingsMap(asked)
	for k, v := range a {
		if string(v) != string(b[k]) {
			diff = append(diff, fmt.Sprintf("%s is %s there, %s was asked for", k, v, b[k]))
		}
	}
	slices.Sort(diff)
	return diff
}

func settingsMap(s *Settings) map[string]json.RawMessage {
	text, err := json.Marshal(s)
	if err != nil {
		panic("dataset: settings: " + err.Error())
	}
	m := make(map[string]json.RawMessage)
	if err := json.Unmarshal(text, &m); err != nil {
		panic("dataset: settings: " + err.Error())
	}
	return m
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}
