package dataset

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"avjepa/internal/manifest"
)

// crashed is what the crash hook panics with.
type crashed struct{ point string }

// ingestUntil runs an ingest that dies at its n-th step. It says where, or ""
// when it came to its end.
func ingestUntil(t *testing.T, cfg IngestConfig, n int) (point string) {
	t.Helper()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case crashed:
			point = r.point
		default:
			panic(r)
		}
	}()
	cfg.crash = func(p string) {
		if n--; n < 0 {
			panic(crashed{p})
		}
	}
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return ""
}

// Dying at any step of the writer, and then at steps of the resumed ingests,
// costs nothing and repeats nothing.
func TestCrashAtEveryStep(t *testing.T) {
	entries := sources(t, makeFiles(t, manyFiles(16)))
	points := make(map[string]bool)
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 0; !points[""]; n++ {
		dir := t.TempDir()
		cfg := testConfig(dir, entries)
		cfg.Workers = 1 // so that the n-th step is the same step each time
		point := ingestUntil(t, cfg, n)
		points[point] = true
		for point != "" {
			point = ingestUntil(t, testConfig(dir, entries), 5+rng.IntN(60))
		}
		checkSet(t, dir, entries)
	}
	for _, p := range []string{"", "record written", "shard synced", "ledger torn",
		"ledger written", "shard finished", "last shard finished", "index written"} {
		if !points[p] {
			t.Errorf("never died at %q", p)
		}
	}
}

// Whatever prefix of the ledger and whatever tail of the shards a crash leaves,
// ingest goes on from there.
func TestEveryTornState(t *testing.T) {
	entries := sources(t, makeFiles(t, manyFiles(12)))
	whole := t.TempDir()
	if _, err := Ingest(t.Context(), testConfig(whole, entries)); err != nil {
		t.Fatal(err)
	}
	ledgerText, err := os.ReadFile(filepath.Join(whole, ledgerFile))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		dir := t.TempDir()
		cut := rng.IntN(len(ledgerText) + 1)
		write(t, filepath.Join(dir, ledgerFile), string(ledgerText[:cut]))
		copyFile(t, whole, dir, settingsFile, -1, nil)
		led, err := openLedger(filepath.Join(dir, ledgerFile))
		if err != nil {
			t.Fatal(err)
		}
		led.file.Close()
		last := -1
		for n := range led.ends {
			last = max(last, n)
		}
		for n := 0; n <= last; n++ {
			copyFile(t, whole, dir, shardName(n), -1, nil)
		}
		if rng.IntN(2) == 0 { // the last shard ends anywhere behind its last clip
			n := max(last, 0)
			junk := bytes.Repeat([]byte("torn"), rng.IntN(500))
			copyFile(t, whole, dir, shardName(n), led.ends[n], junk)
		}
		if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
			t.Fatalf("ledger cut at byte %d: %v", cut, err)
		}
		checkSet(t, dir, entries)
	}
	// Bytes that the ledger names and the shard lacks are not made up for.
	if err := os.Truncate(filepath.Join(whole, shardName(0)), 1024); err != nil {
		t.Fatal(err)
	}
	if _, err := Ingest(t.Context(), testConfig(whole, entries)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("shard cut: %v", err)
	}
	write(t, filepath.Join(whole, ledgerFile), "nonsense\n"+string(ledgerText))
	if _, err := Ingest(t.Context(), testConfig(whole, entries)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("nonsense in the ledger: %v", err)
	}
}

// What lies behind the last good line and the last shard goes away.
func TestLeftoversGoAway(t *testing.T) {
	entries := sources(t, makeFiles(t, manyFiles(12)))
	dir := t.TempDir()
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ledgerFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shards, err := filepath.Glob(filepath.Join(dir, "shard-*.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 5000, 200_000} {
		write(t, path, string(good)+strings.Repeat("\x00", n))
		write(t, filepath.Join(dir, shardName(len(shards))), "begun")
		if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, good) {
			t.Errorf("%d torn bytes: the ledger has %d bytes, not %d (%v)", n, len(b), len(good), err)
		}
		checkSet(t, dir, entries)
	}
}

// copyFile copies the first n bytes of a file, or all for -1, and adds tail.
func copyFile(t *testing.T, from, to, name string, n int64, tail []byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	if n >= 0 {
		b = b[:n]
	}
	write(t, filepath.Join(to, name), string(b)+string(tail))
}

// The re-executed test binary is an ingest when these are set.
const (
	childDir = "AVJEPA_TEST_INGEST_DIR"
	childSrc = "AVJEPA_TEST_INGEST_SOURCES"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(ingestChild(dir, os.Getenv(childSrc)))
	}
	os.Exit(m.Run())
}

func ingestChild(dir, src string) int {
	list, err := manifest.Read([]string{src}, manifest.Options{})
	if err != nil {
		println(err.Error())
		return 1
	}
	cfg := testConfig(dir, list.Entries)
	cfg.Decoder = fakeDecoder{delay: 2 * time.Millisecond}
	os.Stdout.WriteString("begun\n")
	_, err = Ingest(context.Background(), cfg)
	switch {
	case errors.Is(err, ErrLocked):
		return 7
	case err != nil:
		println(err.Error())
		return 1
	}
	return 0
}

// startChild starts an ingest and waits until it begins.
func startChild(t *testing.T, dir, src string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childSrc+"="+src)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Errorf("the ingest did not begin: %v", err)
	}
	return cmd
}

// A real process is killed with SIGKILL again and again, after 0 to 60 ms of work, longer
// from kill to kill for machines that have other work, until one comes to its end.
func TestKill9(t *testing.T) {
	src := makeFiles(t, manyFiles(150))
	entries := sources(t, src)
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(5, 6))
	kills, partial := 0, 0
	for {
		cmd := startChild(t, dir, src)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		if kills < 25 {
			time.Sleep(time.Duration(rng.IntN(60+10*kills)) * time.Millisecond)
			if err := cmd.Process.Kill(); err == nil {
				kills++
			}
			<-done
			if n := lines(t, filepath.Join(dir, ledgerFile)); n > 0 {
				partial++
			}
			if _, err := os.Stat(filepath.Join(dir, indexFile)); err == nil {
				break // killed behind the end
			}
			continue
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		break
	}
	if kills < 3 || partial == 0 {
		t.Errorf("%d kills, %d of them with clips in the ledger: too few", kills, partial)
	}
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	checkSet(t, dir, entries)
}

func lines(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func TestSecondProcessIsRefused(t *testing.T) {
	src := makeFiles(t, map[string]string{"a.mp4": "1 usable"})
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = startChild(t, dir, src).Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("second process: %v", err)
	}
	if _, err := Ingest(t.Context(), testConfig(dir, sources(t, src))); !errors.Is(err, ErrLocked) {
		t.Errorf("second ingest: %v", err)
	}
	unlock()
	if err := startChild(t, dir, src).Wait(); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

// TestDiskFull ingests onto a file system that is too small, gives it room and
// goes on.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	mount := func(option string) error {
		out, err := exec.Command("mount", "-t", "tmpfs", "-o", option, "tmpfs", dir).CombinedOutput()
		if err != nil {
			return errors.New(strings.TrimSpace(string(out)))
		}
		return nil
	}
	const kb = 300
	if err := mount("size=" + strconv.Itoa(kb) + "k"); err != nil {
		skip(t, "tmpfs", "cannot mount a small file system: "+err.Error())
	}
	defer func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	}()
	entries := sources(t, makeFiles(t, manyFiles(60)))
	data := filepath.Join(dir, "data")
	full := 0
	for size := kb; ; size += 150 {
		if err := mount("remount,size=" + strconv.Itoa(size) + "k"); err != nil {
			t.Fatal(err)
		}
		_, err := Ingest(t.Context(), testConfig(data, entries))
		if err == nil {
			break
		}
		if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "run the same command") {
			t.Fatal(err)
		}
		if full++; full > 40 {
			t.Fatal("never finished")
		}
	}
	if full < 2 {
		t.Errorf("the disk was full %d times: make it smaller", full)
	}
	checkSet(t, data, entries)
}

// skip skips the test, or fails it when AVJEPA_REQUIRE lists what is missing.
func skip(t testing.TB, what, reason string) {
	t.Helper()
	for _, w := range strings.Split(os.Getenv("AVJEPA_REQUIRE"), ",") {
		if w == what {
			t.Fatalf("%s is required: %s", what, reason)
		}
	}
	t.Skip(reason)
}
