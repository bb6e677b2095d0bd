package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/train"
)

// Bounds of what is looked at of other models: their files are others'.
const (
	maxModels    = 500
	maxHeadBytes = 8 << 20
	maxHashBytes = 8 << 30
)

// Models returns the cards of the models there are: the one that is loaded, then the
// checkpoints of runs, the run that changed last first and its newest checkpoint first. Of
// a checkpoint only the head is read; one that cannot be read has a card that says why.
func (s *Server) Models(ctx context.Context) ([]ModelInfo, error) {
	out := []ModelInfo{}
	loaded, ok := s.Model()
	if ok {
		out = append(out, loaded)
	}
	names, err := s.runs.names()
	if err != nil {
		return nil, &internalError{err}
	}
	for _, run := range names {
		dir, id, err := s.runs.open(run)
		if err != nil {
			continue // it went away, or is no run
		}
		files := checkpointsOf(dir)
		for _, file := range slices.Backward(files) {
			if ctx.Err() != nil || len(out) >= maxModels {
				break
			}
			if m := s.modelCard(dir, id, file); !ok || m.Run != loaded.Run || m.Step != loaded.Step || m.Unreadable != "" {
				out = append(out, m)
			}
		}
		dir.Close()
	}
	if ctx.Err() != nil {
		return nil, canceled()
	}
	return out, nil
}

// ModelByID returns the card of one model, with the checksum of its file; "current" is the
// one that is loaded.
func (s *Server) ModelByID(ctx context.Context, id string) (ModelInfo, error) {
	loaded, ok := s.Model()
	if id == "current" && !ok {
		_, err := s.model()
		return ModelInfo{}, err
	}
	if ok && (id == "current" || id == loaded.ID) {
		s.checksumLoaded(ctx, &loaded)
		return loaded, nil
	}
	at := strings.LastIndex(id, "@")
	if at < 0 {
		return ModelInfo{}, notFound("model", id)
	}
	run, name := id[:at], id[at+1:]
	dir, run, err := s.runs.open(run)
	if err != nil {
		return ModelInfo{}, notFound("model", id)
	}
	defer dir.Close()
	for _, file := range checkpointsOf(dir) {
		if modelName(file) == name {
			m := s.modelCard(dir, run, file)
			if m.Unreadable == "" {
				s.checksum(ctx, dir, run, file, &m)
			}
			return m, nil
		}
	}
	return ModelInfo{}, notFound("model", id)
}

// checkpointsOf returns the files of a run's checkpoints, oldest first, and that of its best
// epoch.
func checkpointsOf(dir *os.Root) []string {
	var out []string
	if info, err := dir.Stat(train.BestName); err == nil && info.Mode().IsRegular() {
		out = append(out, train.BestName)
	}
	var steps []string
	for _, e := range entriesOf(dir, "checkpoints") {
		if name := e.Name(); e.Type().IsRegular() && strings.HasPrefix(name, "step-") &&
			strings.HasSuffix(name, ".safetensors") {
			steps = append(steps, "checkpoints/"+name)
		}
	}
	slices.Sort(steps)
	return append(steps, out...)
}

// modelName is how a run's checkpoint is called in ids: best, or its step.
func modelName(file string) string {
	name := strings.TrimSuffix(path.Base(file), ".safetensors")
	if n, err := strconv.Atoi(strings.TrimPrefix(name, "step-")); err == nil && n >= 0 {
		return strconv.Itoa(n)
	}
	return name
}

// modelCard reads the head of a checkpoint.
func (s *Server) modelCard(dir *os.Root, run, file string) ModelInfo {
	m := ModelInfo{ID: run + "@" + modelName(file), Name: run + ", " + modelName(file), Run: run,
		Settings: []Setting{}, Files: []File{}, Measured: []Figure{}}
	if n, err := strconv.Atoi(modelName(file)); err == nil {
		m.Step, m.Name = n, fmt.Sprintf("%s, step %d", run, n)
	}
	info, err := dir.Stat(file)
	if err != nil {
		m.Unreadable = "it is not there any more"
		return m
	}
	m.Files = append(m.Files, File{Name: file, Bytes: info.Size()})
	key := fmt.Sprintf("%s\x00%s\x00%d\x00%d", run, file, info.Size(), info.ModTime().UnixNano())
	if known, ok := s.cards.get(key); ok {
		known.Measured = measuredOf(dir, known.Step, file)
		return known
	}
	err = guard(func() error { return readCard(dir, file, info, &m) })
	if err != nil {
		m.Unreadable = reason(err)
		s.log.Info("a checkpoint cannot be read", "run", run, "file", file, "error", err)
	}
	s.cards.put(key, m)
	m.Measured = measuredOf(dir, m.Step, file)
	return m
}

// reason is an error in a few words.
func reason(err error) string {
	text := strings.ToValidUTF8(err.Error(), "�")
	const most = 300
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + " …"
	}
	return text
}

// readCard fills a card from the head of a file.
func readCard(dir *os.Root, file string, info fs.FileInfo, m *ModelInfo) error {
	f, err := dir.Open(file)
	if err != nil {
		return errors.New("it cannot be opened")
	}
	defer f.Close()
	head, err := checkpoint.ParseHead(f, info.Size(), maxHeadBytes)
	if err != nil {
		return err
	}
	state, err := train.StateOf(path.Base(file), head.Metadata)
	if err != nil {
		return err
	}
	cfg := config.New()
	if err := cfg.ApplyText(state.Config, "checkpoint"); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	model, err := cfg.JEPAConfig()
	if err != nil {
		return err
	}
	for name, shape := range head.Shapes {
		if !strings.HasPrefix(name, "encoder.") && !strings.HasPrefix(name, "projector.") ||
			strings.Contains(name, "running_") {
			continue
		}
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		m.Parameters += n
	}
	v := cfg.ViewConfig()
	m.Step, m.Dims, m.Projected = state.Step, model.Encoder.Width, model.Proj
	m.Seconds, m.Frames, m.Side, m.Bands, m.RateHz = v.Seconds, v.Frames, v.Side, v.Bands, v.SampleRateHz
	m.Settings = settings(cfg)
	m.Data = &DataInfo{Name: path.Base(cfg.Data.Dir)}
	return nil
}

// checksumLoaded adds the SHA-256 of the file of the model that is loaded, where it lies in a
// run that is known.
func (s *Server) checksumLoaded(ctx context.Context, m *ModelInfo) {
	if m.Run == "" || len(m.Files) == 0 || m.Files[0].SHA256 != "" {
		return
	}
	dir, run, err := s.runs.open(m.Run)
	if err != nil {
		return
	}
	defer dir.Close()
	for _, file := range checkpointsOf(dir) {
		info, err := dir.Stat(file)
		if err == nil && path.Base(file) == path.Base(m.Files[0].Name) && info.Size() == m.Files[0].Bytes {
			s.checksum(ctx, dir, run, file, m)
		}
	}
}

// checksum adds the SHA-256 of a model's file, of one after the other.
func (s *Server) checksum(ctx context.Context, dir *os.Root, run, file string, m *ModelInfo) {
	info, err := dir.Stat(file)
	if err != nil || info.Size() > maxHashBytes || len(m.Files) == 0 {
		return
	}
	key := fmt.Sprintf("%s\x00%s\x00%d\x00%d", run, file, info.Size(), info.ModTime().UnixNano())
	sum, ok := s.hashes.get(key)
	if !ok {
		s.hashing.Lock()
		defer s.hashing.Unlock()
		if sum, ok = s.hashes.get(key); !ok {
			f, err := dir.Open(file)
			if err != nil {
				return
			}
			defer f.Close()
			h := sha256.New()
			if _, err := io.Copy(h, &untilDone{ctx, io.LimitReader(f, maxHashBytes)}); err != nil {
				return
			}
			sum = hex.EncodeToString(h.Sum(nil))
			s.hashes.put(key, sum)
		}
	}
	m.Files = slices.Clone(m.Files)
	m.Files[0].SHA256 = sum
}

// untilDone reads until a context is over.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
