package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"avjepa/internal/dataset"
	"avjepa/internal/store"
)

// sayRetryEvery is how often somebody is told that a store does not answer.
const sayRetryEvery = 10 * time.Second

// openStore opens the location of a data set. While a remote one does not answer, p
// says so now and then.
func openStore(ctx context.Context, location string, p *progress) (*store.Store, error) {
	var mu sync.Mutex
	var said time.Time
	at, err := store.Open(ctx, location, store.Config{OnRetry: func(r store.Retry) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(said) > sayRetryEvery {
			said = now
			p.say("%s", r)
		}
	}})
	if errors.Is(err, store.ErrLocation) {
		return nil, usageError(err)
	}
	return at, err
}

// openSet opens a data set wherever it is.
func openSet(ctx context.Context, location string, p *progress) (*dataset.Set, error) {
	at, err := openStore(ctx, location, p)
	if err != nil {
		return nil, err
	}
	return dataset.OpenStore(ctx, at)
}

// needsFolder refuses a remote data set for what works on files alone.
func needsFolder(command, location string) error {
	if !store.IsRemote(location) {
		return nil
	}
	return usageError(fmt.Errorf("%s works on a folder, %s is remote: copy the data set first, or run "+
		"it where the folder is", command, location))
}

// inSet returns where a file of a data set is, for people.
func inSet(location, name string) string {
	if !store.IsRemote(location) {
		return filepath.Join(location, name)
	}
	place, query, found := strings.Cut(location, "?")
	place = strings.TrimRight(place, "/") + "/" + name
	if found {
		place += "?" + query
	}
	return place
}

// shellWord returns s as one word for a POSIX shell, quoted only where it must be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:@%+,=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// workplace returns the folder in which a data set for a remote location is made, when
// nobody has named one: data/NAME.work, NAME being the last part of the location.
func workplace(location string) string {
	name := "set"
	if u, err := url.Parse(location); err == nil {
		if base := path.Base(strings.TrimSuffix(u.Path, "/")); base != "." && base != "/" {
			name = base
		} else if u.Host != "" {
			name = u.Host
		}
	}
	return filepath.Join("data", name+".work")
}
