package media

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// printf writes bytes in a shell script.
func printf(data string) string {
	var b strings.Builder
	for _, c := range []byte(data) {
		b.WriteByte('\\')
		for shift := 6; shift >= 0; shift -= 3 {
			b.WriteByte('0' + c>>shift&7)
		}
	}
	return "printf '" + b.String() + "'"
}

// Programs in ffmpeg's place that do what no ffmpeg should. Each gives an outcome
// in time, in little memory of ours, and leaves no process and no file.
func TestHostileFFmpeg(t *testing.T) {
	const picture = "\xff\xd8\xff\xc0\x00\x0b\x08\x00\x02\x00\x03\x01\x01\x11\x00\xff\xd9"
	described := `printf '[info] Input #0, mov, from \047a\047\n` +
		`[info]   Stream #0:0: Video: a, b, 2x2, 1 fps\n[info]   Stream #0:1: Audio: a, 8000 Hz, mono\n[info] Stream mapping:\n' >&2; `
	sound := printf(".snd\x00\x00\x00\x18\xff\xff\xff\xff\x00\x00\x00\x03"+
		"\x00\x00\x3e\x80\x00\x00\x00\x01") + ` >&3; `
	note := `echo $$ >> "$(dirname "$0")/pids"; `
	for _, c := range []struct {
		name, script string
		want         []Outcome // nil: an error about ffprobe, which is the same script
	}{
		{"never ends", `exec sleep 60`, []Outcome{Timeout}},
		{"ignores signals", `trap '' TERM INT HUP PIPE XCPU; while :; do sleep 0.1; done`,
			[]Outcome{Timeout}},
		{"ignores signals and works", `trap '' TERM INT HUP PIPE XCPU; while :; do :; done`,
			[]Outcome{Timeout}},
		{"leaves a child", `sleep 60 & echo $! >> "$(dirname "$0")/pids"; exit 0`,
			[]Outcome{Timeout}},
		{"leaves a silent child", `sleep 60 >&- 2>&- 3>&- & echo $! >> "$(dirname "$0")/pids"; exit 0`,
			nil},
		{"leaves a child with stderr",
			`sleep 60 >&- 3>&- & echo $! >> "$(dirname "$0")/pids"; exit 0`, nil},
		{"leaves a child of another session", `setsid sleep 3 & exit 0`, []Outcome{Timeout}},
		{"takes memory", `x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done`,
			[]Outcome{Corrupt, Timeout, Empty}},
		{"exits", `exit 0`, nil},
		{"fails", `exit 1`, []Outcome{Corrupt}},
		{"kills itself", `kill -9 $$`, []Outcome{Corrupt}},
		{"is killed by a signal", `kill -11 $$`, []Outcome{Corrupt}},
		{"garbage for frames", described + `head -c 9000000 /dev/urandom; sleep 60`, []Outcome{Corrupt}},
		{"garbage for sound", described + `head -c 9000000 /dev/urandom >&3; sleep 60`,
			[]Outcome{Corrupt}},
		{"garbage everywhere", `cat /dev/urandom >&2 & cat /dev/urandom >&3 & exec cat /dev/urandom`,
			[]Outcome{Corrupt, TooLarge, Timeout}},
		{"endless frame", described + printf("\xff\xd8") + `; exec tr '\0' '\377' </dev/zero`,
			[]Outcome{TooLarge}},
		{"endless scan", described + printf("\xff\xd8\xff\xda\x00\x02") + `; exec cat /dev/zero`,
			[]Outcome{TooLarge}},
		{"endless frames",
			described + sound + `while :; do ` + printf(strings.Repeat(picture, 500)) + `; done`,
			[]Outcome{TooLarge, Timeout}},
		{"endless sound", described + sound + `exec cat /dev/zero >&3`, []Outcome{TooLarge}},
		{"another size", described + sound + printf(picture) + `; ` +
			printf(strings.Replace(picture, "\x02\x00\x03", "\x02\x00\x04", 1)) + `; sleep 60`,
			[]Outcome{Corrupt}},
		{"floods stderr", `exec yes '[info]   Stream #0:0: Video: a, b, 2x2, 1 fps' >&2`,
			[]Outcome{TooLarge, Timeout}},
		{"counts without end", described + `i=0; while :; do i=$((i+1)); ` +
			`printf '[verbose]   Input stream #0:%d (video): 9 packets read (1 bytes); 9 frames decoded;\n' $i; done >&2`,
			[]Outcome{TooLarge, Timeout}},
		{"streams without end", `printf '[info] Input #0, mov, from \047a\047\n' >&2; ` +
			`exec yes '[info]   Stream #0:7: Video: a, b, 2x2, 1 fps' >&2`, []Outcome{TooLarge, Timeout}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tools, file := fakeTools(t, note+c.script)
			dir := filepath.Dir(file)
			before := runtime.NumGoroutine()
			var memory runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&memory)
			heap := memory.HeapSys
			cfg := smallConfig
			timeout := 10 * time.Second // of one that meets another limit before
			if slices.Contains(c.want, Timeout) {
				timeout = 700 * time.Millisecond
			}
			cfg.Limits = Limits{Timeout: timeout, MaxBytes: 1 << 20, MemoryBytes: 256 << 20,
				MaxLogBytes: 1 << 20}
			if c.want != nil {
				meetWith(t, tools, file, cfg, timeout+8*time.Second, c.want...)
			} else {
				err := tools.Decode(t.Context(), file, cfg, []Segment{{}},
					func(int, *Clip) error { return nil })
				if err == nil || !strings.Contains(err.Error(), "ffprobe's answer") {
					t.Errorf("error %v", err)
				}
			}
			runtime.ReadMemStats(&memory)
			if grown := int64(memory.HeapSys) - int64(heap); grown > 48<<20 {
				t.Errorf("%d MB of heap more", grown>>20)
			}
			gone(t, filepath.Join(dir, "pids"))
			if left := childrenOf(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			noMoreGoroutines(t, before)
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 3 { // the tool, the clip, the pids
				t.Errorf("the folder holds %v, %v", entries, err)
			}
		})
	}
}

// Equal frames take little, but not nothing: a picture without end that waits for
// its sound is too large, though the segment is short.
func TestEqualFramesAreBounded(t *testing.T) {
	cfg := smallConfig
	cfg.Limits = Limits{MaxBytes: 1 << 20}.withDefaults()
	a := &assembler{cfg: cfg, info: Info{Video: &VideoStream{}, Audio: &AudioStream{}},
		spans: []span{{frame1: 10, sample1: 16000, seconds: 1}}}
	x := piece{frame: []byte("frame"), width: 3, height: 2, video: true}
	for i := range 1 << 20 {
		if err := a.addFrame(x); err != nil {
			var broken *FileError
			if !errors.As(err, &broken) || broken.Outcome != TooLarge {
				t.Errorf("frame %d: %v", i, err)
			}
			return
		}
	}
	t.Errorf("%d frames are held", len(a.frames))
}
