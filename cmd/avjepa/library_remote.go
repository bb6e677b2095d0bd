package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"avjepa/internal/library"
	"avjepa/internal/weaviate"
)

// weaviateKey is the variable with the API key of a Weaviate server.
const weaviateKey = "AVJEPA_WEAVIATE_KEY"

// openWithVectors opens a library with the server that has its vectors, if one has them, which
// it does not ask yet.
func openWithVectors(ctx context.Context, dir string, o library.Options, cfg weaviate.Config) (
	*library.Library, *weaviate.Server, error) {

	l, err := library.Open(ctx, dir, o)
	if err != nil {
		return nil, nil, err
	}
	m, ok := l.Model()
	if !ok || m.Remote == "" {
		return l, nil, nil
	}
	l.Close()
	cfg.Key = os.Getenv(weaviateKey)
	s, err := weaviate.New(m.Remote, cfg)
	if err != nil {
		return nil, nil, remoteError(dir, err)
	}
	o.Remote = s
	l, err = library.Open(ctx, dir, o)
	return l, s, err
}

// openVectors opens the server that is to have the vectors of a model, nil if its library's file
// is, and returns the options to open the library for writing with it.
func openVectors(ctx context.Context, m *library.Model, cfg weaviate.Config) (*weaviate.Server,
	library.Options, error) {

	o := library.Options{Write: true}
	if m.Remote == "" {
		return nil, o, nil
	}
	cfg.Dims, cfg.Key = m.Dims, os.Getenv(weaviateKey)
	s, err := weaviate.Open(ctx, m.Remote, cfg)
	if err == nil {
		o.Remote = s
	}
	return s, o, err
}

// useModel makes m the model of the library. If the server had none of its collections, the
// library forgets that it has vectors, so that they are made again; else those that came last are
// looked after, for the server may have been killed.
func useModel(ctx context.Context, l *library.Library, m *library.Model, vectors *weaviate.Server) error {
	if err := l.UseModel(ctx, *m); err != nil || vectors == nil {
		return err
	}
	if vectors.Made() {
		return l.ForgetVectors(ctx)
	}
	_, err := l.Mend(ctx)
	return err
}

// openToSearch opens a library to be read, with the server that has its vectors, which must
// answer.
func openToSearch(ctx context.Context, dir string) (*library.Library, error) {
	l, s, err := openWithVectors(ctx, dir, library.Options{}, weaviate.Config{})
	if err == nil && s != nil {
		if err = s.Ready(ctx); err != nil {
			l.Close()
			return nil, remoteError(dir, err)
		}
	}
	return l, err
}

// remoteError says of an error of the server with a library's vectors what it is about, and of a
// key where it comes from.
func remoteError(dir string, err error) error {
	switch {
	case errors.Is(err, weaviate.ErrKey):
		return fmt.Errorf("the vectors of %s: %w (%s has the key)", dir, err, weaviateKey)
	case errors.Is(err, weaviate.ErrServer):
		return fmt.Errorf("the vectors of %s: %w", dir, err)
	}
	return err
}
