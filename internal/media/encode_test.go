package media

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestEncodeRoundTrip(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "clip.mp4")
	cfg := EncodeConfig{Width: 64, Height: 48, FPS: 12.5, SampleRateHz: 16000}
	grey := func(i int, rgb []byte) error {
		for j := range rgb {
			rgb[j] = byte(10 * i)
		}
		return nil
	}
	err := tools.Encode(context.Background(), path, cfg, 25, grey, make([]int16, 32000))
	if err != nil {
		t.Fatal(err)
	}
	info, err := tools.Probe(context.Background(), path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Video == nil || info.Video.Width != 64 || info.Video.Height != 48 ||
		info.Video.FPS != 12.5 || info.Audio == nil || info.Audio.SampleRateHz != 16000 {
		t.Errorf("probed %+v, video %+v, audio %+v", info, info.Video, info.Audio)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v; want the clip alone", entries, err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = tools.Encode(context.Background(), path, cfg, 25, grey, make([]int16, 32000))
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(path)
	if err != nil || string(first) != string(again) {
		t.Errorf("the same input gave other bytes (%v)", err)
	}
}

func TestEncodeFailsWhole(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "clip.mp4")
	cfg := EncodeConfig{Width: 64, Height: 48, FPS: 10, SampleRateHz: 16000}
	sentinel := errors.New("no more frames")
	err := tools.Encode(context.Background(), path, cfg, 25, func(i int, rgb []byte) error {
		if i == 3 {
			return sentinel
		}
		return nil
	}, make([]int16, 32000))
	if !errors.Is(err, sentinel) {
		t.Errorf("error %v, want the frame's", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = tools.Encode(ctx, path, cfg, 1<<30, func(i int, rgb []byte) error {
		if i == 3 {
			cancel()
		}
		return nil
	}, make([]int16, 32000))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	for _, bad := range []EncodeConfig{
		{Width: 63, Height: 48, FPS: 10, SampleRateHz: 16000},
		{Width: 64, Height: 48, SampleRateHz: 16000},
		{Width: 64, Height: 48, FPS: 10},
		{Width: 64, Height: 48, FPS: 10, SampleRateHz: 16000, CRF: 52},
	} {
		if err := tools.Encode(context.Background(), path, bad, 1, nil, []int16{0}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}
