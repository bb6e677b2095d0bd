// Command kills ingests a folder with avjepa, kills it many times at random moments,
// lets it finish, and then counts: every clip of every film once, none twice, all
// bytes as they were written.
//
//	kills -avjepa bin/avjepa -source data/films -out data/killed -clips 100 -kills 10
//
// The same folder ingested without kills must have the same clips: give it as -same.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/rng"
)

func main() {
	program := flag.String("avjepa", "bin/avjepa", "the program")
	source := flag.String("source", "", "folder of films")
	out := flag.String("out", "", "data set to write")
	same := flag.String("same", "", "data set that must have the same clips; empty for none")
	clips := flag.Int("clips", 0, "clips that every film gives; 0 to not count")
	clipSeconds := flag.Float64("clip-seconds", 1, "length of a clip")
	kills := flag.Int("kills", 10, "times to kill")
	span := flag.Duration("span", 60*time.Second, "longest time until a kill")
	seed := flag.Uint64("seed", 1, "seed of the moments")
	flag.Parse()
	k := killer{*program, *source, *out, *clipSeconds, *span}
	err := k.run(*kills, *seed)
	if err == nil {
		err = k.count(*clips)
	}
	if err == nil && *same != "" {
		err = compare(*out, *same)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kills: "+err.Error())
		os.Exit(1)
	}
}

type killer struct {
	program, source, out string
	clipSeconds          float64
	span                 time.Duration
}

func (k *killer) command() *exec.Cmd {
	return exec.Command(k.program, "ingest", k.source, "--out", k.out, "--quiet",
		"--clip-seconds", strconv.FormatFloat(k.clipSeconds, 'g', -1, 64))
}

// run kills the ingest n times and then lets it end.
func (k *killer) run(n int, seed uint64) error {
	r := rng.New(seed, "kills")
	for i := range n {
		c := k.command()
		if err := c.Start(); err != nil {
			return err
		}
		wait := time.Duration(r.Float64() * float64(k.span))
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		select {
		case err := <-ended:
			return fmt.Errorf("it ended before kill %d, after %v at most: %w", i+1, wait, err)
		case <-time.After(wait):
		}
		if err := c.Process.Kill(); err != nil {
			return err
		}
		<-ended
		lines, err := countLines(filepath.Join(k.out, "ledger.jsonl"))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		fmt.Printf("kill %2d after %5.1f s: %d lines in the ledger\n", i+1, wait.Seconds(), lines)
	}
	c := k.command()
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	begun := time.Now()
	if err := c.Run(); err != nil {
		return err
	}
	fmt.Printf("finished in another %.0f s\n", time.Since(begun).Seconds())
	return nil
}

func countLines(path string) (int, error) {
	b, err := os.ReadFile(path)
	return bytes.Count(b, []byte("\n")), err
}

// count reads every clip, and holds their number to the films'.
func (k *killer) count(perFilm int) error {
	set, err := dataset.Open(k.out)
	if err != nil {
		return err
	}
	var c dataset.Clip
	for i := range set.Len() {
		if err := set.Read(context.Background(), i, &c); err != nil {
			return err
		}
	}
	films, err := filepath.Glob(filepath.Join(k.source, "*.mp4"))
	if err != nil {
		return err
	}
	fmt.Printf("%d clips of %d films, all read back\n", set.Len(), len(films))
	if want := perFilm * len(films); perFilm > 0 && set.Len() != want {
		return fmt.Errorf("%d clips, want %d", set.Len(), want)
	}
	return nil
}

// compare holds the clips of two sets to each other: keys and checksums.
func compare(a, b string) error {
	x, err := dataset.Open(a)
	if err != nil {
		return err
	}
	y, err := dataset.Open(b)
	if err != nil {
		return err
	}
	if x.Len() != y.Len() {
		return fmt.Errorf("%s has %d clips, %s %d", a, x.Len(), b, y.Len())
	}
	for i := range x.Len() {
		p, q := x.Info(i), y.Info(i)
		if p.Key != q.Key || p.CRC != q.CRC || p.Bytes != q.Bytes {
			return fmt.Errorf("clip %d is %s (%08x) in %s, %s (%08x) in %s", i, p.Key, p.CRC, a, q.Key,
				q.CRC, b)
		}
	}
	fmt.Printf("the %d clips of %s and %s are the same to the byte\n", x.Len(), a, b)
	return nil
}
