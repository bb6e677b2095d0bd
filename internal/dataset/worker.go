package dataset

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"

	"avjepa/internal/manifest"
	"avjepa/internal/media"
)

// Decoder is the part of media.Tools that Ingest needs.
type Decoder interface {
	Decode(ctx context.Context, path string, cfg media.DecodeConfig, segs []media.Segment,
		yield func(i int, c *media.Clip) error) error
}

// result is what a worker hands to the writer: a line of the ledger and, for a
// kept clip, its record.
type result struct {
	line   *ledgerLine
	record []byte
	bytes  int64 // of the source that is finished with this line
}

// worker decodes sources. Several goroutines may use one.
type worker struct {
	settings *Settings
	decode   media.DecodeConfig
	decoder  Decoder
	known    map[string]bool // keys of clips that the ledger had at the start
	missing  map[string]bool // of those without a file then; they are not in known
	results  chan<- result
	buffers  *sync.Pool // of *[]byte, for records
	makers   *sync.Pool // of *neardup.Maker
}

// run decodes all of a source that the ledger does not have and ends with the
// line that says so.
func (w *worker) run(ctx context.Context, j *job) error {
	if j.missing != "" {
		return w.runMissing(ctx, j)
	}
	hash := fingerprint(j.path)
	split := j.split
	if split == "" {
		split = drawSplit(w.settings.Seed, cmp.Or(j.group, hash), w.settings.ValFraction)
	}
	var parts []manifest.Entry
	var outcome media.Outcome // of the source: Missing or none
	for _, e := range j.parts {
		if e.Split = cmp.Or(e.Split, split); !w.known[e.Key] {
			parts = append(parts, e)
		}
	}
	if len(parts) > 0 {
		err := w.decodeParts(ctx, parts, func(i int, c *media.Clip) error {
			if c.Outcome == media.Missing {
				outcome = media.Missing
			}
			return w.send(ctx, w.judge(&parts[i], c))
		})
		if err != nil {
			return err
		}
	}
	if j.whole != nil && !w.known[j.whole.Key] {
		e := *j.whole
		e.Split = cmp.Or(e.Split, split)
		missing, err := w.runWhole(ctx, e)
		if err != nil {
			return err
		}
		if missing {
			outcome = media.Missing
		}
	}
	return w.send(ctx, result{bytes: j.bytes, line: &ledgerLine{Source: plainText(j.path),
		Whole: j.whole != nil, Outcome: outcome, Hash: hash, Split: split}})
}

// runMissing leaves out all clips of a source that is not there.
func (w *worker) runMissing(ctx context.Context, j *job) error {
	wanted := slices.Clone(j.parts)
	if j.whole != nil {
		wanted = append(wanted, *j.whole)
	}
	for i := range wanted {
		if w.known[wanted[i].Key] || w.missing[wanted[i].Key] {
			continue
		}
		if err := w.send(ctx, leftOut(&wanted[i], media.Missing, j.missing)); err != nil {
			return err
		}
	}
	return w.send(ctx, result{line: &ledgerLine{Source: plainText(j.path), Whole: j.whole != nil,
		Outcome: media.Missing, Hash: fingerprint(j.path)}})
}

// runWhole decodes a source as one clip, or cuts it when it is longer than one
// and a half, and says whether there is no file. Its length shows when the first piece
// has been decoded. A clip that a list knows to be short and whose file is long is not
// cut: its label would be given to all of the video.
func (w *worker) runWhole(ctx context.Context, e manifest.Entry) (missing bool, err error) {
	longest := 1.5 * w.settings.ClipSeconds
	var claimed float64 // seconds, as the container says; 0 unknown
	long := false
	err = w.decodeParts(ctx, []manifest.Entry{{Path: e.Path, End: longest}},
		func(_ int, c *media.Clip) error {
			claimed, missing = c.Info.Seconds, c.Outcome == media.Missing
			full := c.Outcome.HasClip() && c.Seconds > longest-0.5
			if long = claimed > longest || claimed <= 0 && full; long {
				return nil
			}
			return w.send(ctx, w.judge(&e, c))
		})
	if err != nil || !long {
		return missing, err
	}
	if e.Seconds > 0 && !(e.Seconds > longest) {
		return false, w.send(ctx, leftOut(&e, media.TooLarge, fmt.Sprintf("the file has %.0f s, "+
			"the list says %.0f: --whole-videos cuts whole videos", claimed, e.Seconds)))
	}
	if claimed > manifest.MaxSeconds {
		return false, w.send(ctx, leftOut(&e, media.TooLarge, fmt.Sprintf(
			"%.0f s, at most %d s: cut it into files", claimed, manifest.MaxSeconds)))
	}
	return false, w.runCuts(ctx, e, claimed)
}

// runCuts decodes a long source in pieces. Pieces that fail behind the last good
// one are the end of a file that is shorter than it claims: they are one line of
// the ledger, under the source's own key when no piece is good, and none when the
// file claimed no length.
func (w *worker) runCuts(ctx context.Context, e manifest.Entry, claimed float64) error {
	all := cuts(e, claimed, w.settings.ClipSeconds)
	parts := slices.DeleteFunc(slices.Clone(all), func(p manifest.Entry) bool { return w.known[p.Key] })
	if len(parts) == 0 {
		return nil
	}
	some := len(parts) < len(all)
	var held []result
	err := w.decodeParts(ctx, parts, func(i int, c *media.Clip) error {
		r := w.judge(&parts[i], c)
		if !c.Outcome.HasClip() {
			held = append(held, r)
			return nil
		}
		for _, h := range held {
			if err := w.send(ctx, h); err != nil {
				return err
			}
		}
		held, some = held[:0], true
		return w.send(ctx, r)
	})
	if err != nil || len(held) == 0 || some && claimed <= 0 {
		return err
	}
	line := held[0].line
	if !some {
		line.Key, line.Start, line.End = e.Key, 0, 0
	}
	if n := len(held) - 1; n > 0 {
		line.Reason += fmt.Sprintf(" (and %d more clips after it)", n)
	}
	return w.send(ctx, held[0])
}

// cuts divides a source into clips of length seconds. A remainder shorter than
// half a clip is joined to the one before it. A source of unknown length (0) is
// divided as far as keys reach.
func cuts(e manifest.Entry, seconds, length float64) []manifest.Entry {
	if seconds <= 0 {
		seconds = manifest.MaxSeconds
	}
	n := max(1, int(seconds/length+0.5))
	parts := make([]manifest.Entry, n)
	for i := range parts {
		p := e
		p.Start, p.End = float64(i)*length, float64(i+1)*length
		p.Key = manifest.SegmentKey(e.Key, p.Start)
		parts[i] = p
	}
	if last := &parts[n-1]; seconds > last.End {
		last.End += length / 2
	}
	return parts
}

// decodeParts decodes parts of one source, sorted by start.
func (w *worker) decodeParts(ctx context.Context, parts []manifest.Entry,
	yield func(i int, c *media.Clip) error) error {

	segs := make([]media.Segment, len(parts))
	for i, p := range parts {
		segs[i] = media.Segment{Start: p.Start, End: p.End}
	}
	err := w.decoder.Decode(ctx, parts[0].Path, w.decode, segs, yield)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("dataset: decoding %s: %w", parts[0].Path, err)
	}
	return err
}

// judge turns a decoded clip into a record, or into the line that leaves it out.
func (w *worker) judge(e *manifest.Entry, c *media.Clip) result {
	if !c.Outcome.HasClip() || !slices.Contains(w.settings.Keep, c.Outcome) {
		return leftOut(e, c.Outcome, c.Reason)
	}
	info := Info{
		Key: e.Key, Labels: e.Labels, Split: e.Split,
		Row: e.Row, Source: plainText(filepath.Base(e.Path)), Start: e.Start, Seconds: c.Seconds,
		FrameCount: len(c.Frames), SampleCount: len(c.Samples), Silent: c.Silent, Still: c.Still,
	}
	if len(c.Frames) > 0 {
		info.FPS, info.Width, info.Height = c.FPS, c.Width, c.Height
	}
	if len(c.Samples) > 0 {
		info.SampleRateHz = w.settings.SampleRateHz
	}
	if len(c.Frames) > MaxFrames {
		return leftOut(e, media.TooLarge, fmt.Sprintf("%d frames, at most %d: lower the frame "+
			"rate or the clip's length", len(c.Frames), MaxFrames))
	}
	w.describe(&info, c)
	buf := w.buffers.Get().(*[]byte)
	record, err := appendRecord((*buf)[:0], &info, c.Frames, c.Samples)
	if err != nil {
		return leftOut(e, media.TooLarge, err.Error())
	}
	if err := info.validate(); err != nil {
		return leftOut(e, media.Corrupt, err.Error())
	}
	return result{record: record, line: &ledgerLine{
		Source: plainText(e.Path), Key: e.Key, Start: e.Start, End: e.End,
		Outcome: c.Outcome, Reason: plainText(c.Reason), Clip: &info,
	}}
}

func leftOut(e *manifest.Entry, o media.Outcome, reason string) result {
	if reason = plainText(reason); len(reason) > 300 {
		reason = strings.ToValidUTF8(reason[:300], "")
	}
	return result{line: &ledgerLine{Source: plainText(e.Path), Key: e.Key,
		Start: e.Start, End: e.End, Outcome: o, Reason: reason}}
}

func (w *worker) send(ctx context.Context, r result) error {
	select {
	case w.results <- r:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// plainText makes s something that JSON and a terminal give back unchanged.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
