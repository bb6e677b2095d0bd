package media

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// within fails when something takes longer.
func within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > limit {
		t.Errorf("took %v, at most %v", took, limit)
	}
}

// Texts that lead elsewhere, behind every kind of name: nobody is called, nothing
// else is read.
func TestIndirectionsLeadNowhere(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	server := &http.Server{Handler: http.NotFoundHandler(),
		ConnState: func(net.Conn, http.ConnState) { calls.Add(1) }}
	go server.Serve(listener)
	defer server.Close()
	dir := t.TempDir()
	clip := filepath.Join(dir, "clip.mp4")
	writeClip(t, tools, clip, 1)
	web := "http://" + listener.Addr().String() + "/x.ts"
	m3u8 := func(entry string) string {
		return "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n" + entry + "\n#EXT-X-ENDLIST\n"
	}
	texts := []string{m3u8(web), m3u8("file:///etc/passwd"), m3u8(clip), m3u8("clip.mp4"),
		m3u8("data:video/mp4;base64,AAAA"), m3u8("concat:" + clip + "|" + web),
		"ffconcat version 1.0\nfile '" + web + "'\n", "ffconcat version 1.0\nfile clip.mp4\n",
		"file 'clip.mp4'\n", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n" +
			"m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
		`<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" ` +
			`profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period><AdaptationSet ` +
			`mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>` + web +
			`</BaseURL></Representation></AdaptationSet></Period></MPD>`,
		"[playlist]\nFile1=" + web + "\nNumberOfEntries=1\n",
		`<smil><body><video src="` + web + `"/></body></smil>`,
		`<asx version="3.0"><entry><ref href="` + web + `"/></entry></asx>`,
		"[Reference]\nRef1=" + web + "\n", "rtsptext" + web, "RTSPtextrtsp://127.0.0.1/\r\n",
		"# mkvmerge\nimage%03d.jpg\n", web + "\n", ";FFMETADATA1\ntitle=x\n"}
	for i, text := range texts {
		for _, name := range []string{"a.mp4", "a.m3u8", "a.txt", "a.mpd", "a.sdp", "a.ffconcat",
			"a.pls", "a.ts"}[i%7:][:2] {
			path := filepath.Join(dir, fmt.Sprint(i)+name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := decodeWhole(t, tools, path, smallConfig)
			if c.Outcome != Unsupported && c.Outcome != Corrupt || len(c.Frames)+len(c.Samples) > 0 {
				t.Errorf("%s, %.40q: %s (%s)", name, text, c.Outcome, c.Reason)
			}
		}
	}
	if n := calls.Load(); n > 0 {
		t.Errorf("%d connections", n)
	}
}

// A film whose data is said to lie in another file.
func TestExternalDataIsNotRead(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.mov")
	if err := os.WriteFile(secret, plainClip(t, tools, "a.mov"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := box("url ", make([]byte, 4), []byte("file://"+dir+"/secret.mov\x00"))
	alias := make([]byte, 170)
	copy(alias[4+10+28:], "\x0asecret.mov")
	alias = append(alias, 0, 2, 0, byte(len(dir)+11))
	alias = append(alias, dir+"/secret.mov\x00"...)
	for name, reference := range map[string][]byte{"url": url, "alias": box("alis", alias)} {
		data := editBoxes(plainClip(t, tools, "b.mov"),
			[]string{"moov", "trak", "mdia", "minf", "dinf", "dref"}, func([]byte) []byte {
				return bytes.Join([][]byte{{0, 0, 0, 0, 0, 0, 0, 1}, reference}, nil)
			})
		at := bytes.Index(data, []byte("mdat"))
		end := bytes.LastIndex(data, []byte("moov")) - 4
		clear(data[at+4 : end]) // what is decoded would come from the other file
		path := filepath.Join(dir, name+".mov")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if c := decodeWhole(t, tools, path, smallConfig); c.Outcome != Corrupt {
			t.Errorf("%s: %s (%s)", name, c.Outcome, c.Reason)
		}
	}
}

// Names that ffmpeg would take for something else, and what lies at them.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	clip := filepath.Join(dir, "clip.mp4")
	writeClip(t, tools, clip, 1)
	data, err := os.ReadFile(clip)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"concat:a|b", "subfile,,start,0,end,9,,:clip.mp4", "crypto:clip.mp4",
		"http:", "data:,x", "fd:", "pipe:", "-", "--", "%d.jpg", "%s%n%x.mp4", "a\nb\r\t.mp4",
		`"'\`, "\xff\xfe\x80", "\u202egpm.exe", "~", "$HOME", "*", "a.m3u8", "a.ffconcat", "a.sdp",
		"[info] Stream mapping:\n.mp4", strings.Repeat("n", 255)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if c := decodeWhole(t, tools, path, smallConfig); c.Outcome != Usable {
			t.Errorf("%q: %s (%s)", name, c.Outcome, c.Reason)
		}
	}
	within(t, 5*time.Second, func() {
		for _, path := range []string{"", strings.Repeat("n", 300), dir + strings.Repeat("/n", 3000),
			"http://127.0.0.1/a.mp4", "concat:" + clip + "|" + clip} {
			c := decodeWhole(t, tools, path, smallConfig)
			if c.Outcome != Unreadable && c.Outcome != Missing {
				t.Errorf("%.40q: %s (%s)", path, c.Outcome, c.Reason)
			}
		}
	})
}

// What is no file, or not the file that it was a moment ago.
func TestNoFiles(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(at("fifo.mp4"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", at("socket.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for name, target := range map[string]string{"to-fifo": at("fifo.mp4"),
		"to-socket": at("socket.mp4"), "to-device": "/dev/zero", "to-itself": at("to-itself"),
		"to-folder": dir, "to-nothing": at("nothing"),
		"to-proc": "/proc/self/status", "to-stdin": "/dev/stdin"} {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]Outcome{at("fifo.mp4"): Unreadable, at("socket.mp4"): Unreadable,
		at("to-fifo"): Unreadable, at("to-socket"): Unreadable, at("to-device"): Unreadable,
		at("to-itself"): Unreadable, at("to-folder"): Unreadable, at("to-nothing"): Missing,
		at("to-proc"): Empty, "/dev/zero": Unreadable, "/dev/full": Unreadable, "/dev/tty": Unreadable,
		"/proc/self/mem": Empty, "/proc/self/environ": Empty}
	if os.Getuid() != 0 {
		if err := os.WriteFile(at("secret"), []byte("x"), 0o000); err != nil {
			t.Fatal(err)
		}
		cases[at("secret")] = Unreadable
	}
	within(t, 5*time.Second, func() {
		for path, want := range cases {
			if c := decodeWhole(t, tools, path, smallConfig); c.Outcome != want {
				t.Errorf("%s: %s (%s), want %s", path, c.Outcome, c.Reason, want)
			}
		}
		// A FIFO that has taken the place of a file between the two looks.
		_, err := openChecked(at("fifo.mp4"))
		var broken *FileError
		if !errors.As(err, &broken) || broken.Outcome != Unreadable {
			t.Errorf("a FIFO opens with %v", err)
		}
	})
}

// What is at the name of an open file later is not looked at.
func TestReplacedFileIsTheOldOne(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	writeClip(t, tools, path, 1)
	in, err := openInput(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, func() {
		info, err := tools.probe(t.Context(), in, Limits{}.withDefaults())
		if err != nil || info.Video == nil || info.Video.Width != 64 {
			t.Errorf("probed %+v, %v", info, err)
		}
	})
}

// Files without end, with holes, and files that change while they are read.
func TestFilesInMotion(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	clip := plainClip(t, tools, "a.ts")
	t.Run("sparse", func(t *testing.T) {
		path := writeHostile(t, "sparse.mp4", []byte("\x00\x00\x00\x18ftypisom"))
		if err := os.Truncate(path, 1<<40); err != nil {
			t.Skip(err)
		}
		meet(t, tools, path, Corrupt, Unsupported, Empty)
	})
	t.Run("clip and holes", func(t *testing.T) {
		path := writeHostile(t, "sparse.ts", clip)
		if err := os.Truncate(path, 1<<40); err != nil {
			t.Skip(err)
		}
		cfg := smallConfig
		cfg.Limits = Limits{Timeout: 2 * time.Second}
		meetWith(t, tools, path, cfg, 12*time.Second, Timeout, Usable, Corrupt)
	})
	change := func(name string, change func(*os.File) error, want ...Outcome) {
		t.Run(name, func(t *testing.T) {
			path := writeHostile(t, "a.ts", bytes.Repeat(clip, 40))
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			stop, stopped := make(chan struct{}), make(chan error, 1)
			go func() {
				for {
					select {
					case <-stop:
						stopped <- nil
						return
					case <-time.After(time.Millisecond):
						if err := change(file); err != nil {
							stopped <- err
							return
						}
					}
				}
			}()
			meet(t, tools, path, want...)
			close(stop)
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			file.Close()
		})
	}
	change("growing", func(f *os.File) error { _, err := f.Write(clip); return err },
		TooLarge, Timeout, Usable)
	change("cut", func(f *os.File) error { return f.Truncate(int64(len(clip))) },
		Usable, Corrupt, TooLarge)
	change("emptied", func(f *os.File) error { return f.Truncate(0) },
		Usable, Corrupt, Empty, Unsupported, TooShort, TooLarge)
}
