// Package store reads and writes named objects below one root: a folder, a bucket
// of an S3-compatible store, or a folder behind plain HTTP.
//
//	s, err := store.Open(ctx, "s3://bucket/sets/mine?region=eu-central-1", store.Config{})
//	size, err := s.Size(ctx, "shard-000000.tar")
//	err = s.ReadAt(ctx, "shard-000000.tar", record, offset)
//
// An object is there whole or not at all, and its name is a slash path that CheckName
// accepts. What passes by itself (a server that is restarted, a broken connection, 503)
// is tried again for Config.Retry; what does not (no such bucket, a wrong key) is an
// error at once that says what to do.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"
)

// Errors of a Store are one of these, or the system's, with the object and a remedy.
var (
	ErrNotExist    = fs.ErrNotExist        // no such object
	ErrPermission  = fs.ErrPermission      // wrong or missing credentials
	ErrUnsupported = errors.ErrUnsupported // plain HTTP can only be read, and not listed
	ErrName        = errors.New("not a name of an object")
	ErrLocation    = errors.New("not a location")
	ErrShort       = errors.New("object ends before what was asked for")
	ErrChanged     = errors.New("object changed while it was read")
	ErrCorrupt     = errors.New("bytes are not those that were sent")
	ErrNoAnswer    = errors.New("no answer") // Config.Retry is over
	ErrServer      = errors.New("server breaks the protocol")
)

// Config says how long a Store is patient, and with what it signs.
type Config struct {
	// Retry is how long an operation is tried again after its first failure since it
	// last got on: 5 minutes if 0, not at all if negative.
	Retry time.Duration
	// Timeout ends an attempt in which less than 64 KiB moved for so long: 30 s if 0.
	Timeout time.Duration
	// OnRetry, if not nil, is called before each wait, by several goroutines at a time.
	OnRetry func(Retry)
	// Keys are for s3:// locations. Without them the AWS SDK finds its own, in
	// AWS_ACCESS_KEY_ID, AWS_PROFILE, ~/.aws and what else its manual lists.
	Keys Keys
}

// Keys are the credentials of an S3-compatible store.
type Keys struct {
	ID, Secret string
	Session    string // empty for keys that do not expire
}

// Object is an entry of a list.
type Object struct {
	Name string
	Size int64 // bytes
}

// Store is the objects below one location. Several goroutines may use it.
type Store struct {
	location string // as String gives it
	cfg      Config
	dir      string // of a local store
	remote   remote // of any other
}

// remote is a store behind a network. Each call is one attempt.
type remote interface {
	// head returns what the store knows of an object.
	head(ctx context.Context, name string) (info, error)
	// get begins to read n > 0 bytes from off. It answers for the range and the size,
	// not for the body.
	get(ctx context.Context, name string, off, n int64) (io.ReadCloser, info, error)
}

// info is an object's size and what is another when its bytes are.
type info struct {
	size int64
	tag  string
	crc  *uint32 // CRC-32C of all bytes, where the store has it
}

// Open returns the store at location, without asking whether it is there:
//
//	data/mine, /abs, file:///abs        a folder
//	s3://bucket/prefix?endpoint=URL     a bucket; see openS3 for what may follow "?"
//	https://host/path/?query            files of a web server; query goes with each request
//
// Errors are ErrLocation.
func Open(ctx context.Context, location string, cfg Config) (*Store, error) {
	if cfg.Retry == 0 {
		cfg.Retry = 5 * time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	s := &Store{cfg: cfg}
	scheme, _, ok := strings.Cut(location, "://")
	var err error
	switch scheme = strings.ToLower(scheme); {
	case !ok:
		s.dir, s.location = location, location
		if location == "" || strings.ContainsRune(location, 0) {
			err = fmt.Errorf("%w: %q is no folder", ErrLocation, location)
		}
	case scheme == "file":
		s.dir, err = fileLocation(location)
		s.location = s.dir
	case scheme == "s3":
		err = s.openS3(ctx, location)
	case scheme == "http" || scheme == "https":
		err = s.openHTTP(location)
	default:
		err = fmt.Errorf("%w: scheme %.20q: a folder, s3://, http:// or https:// is possible",
			ErrLocation, scheme)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// IsRemote reports whether location is behind a network, so that its objects are not
// files of this machine.
func IsRemote(location string) bool {
	scheme, _, ok := strings.Cut(location, "://")
	return ok && !strings.EqualFold(scheme, "file")
}

// String returns the location without what may be secret.
func (s *Store) String() string { return s.location }

// Local returns the folder of a local store.
func (s *Store) Local() (dir string, ok bool) { return s.dir, s.remote == nil }

// where returns how messages call the object.
func (s *Store) where(name string) string {
	base, query, ok := strings.Cut(s.location, "?")
	if s.remote == nil || !ok {
		return strings.TrimSuffix(s.location, "/") + "/" + name
	}
	return strings.TrimSuffix(base, "/") + "/" + name + "?" + query
}

// Size returns the size of an object in bytes.
func (s *Store) Size(ctx context.Context, name string) (int64, error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	if s.remote == nil {
		fi, err := s.stat(name)
		if err != nil {
			return 0, err
		}
		return fi.Size(), nil
	}
	in, err := s.head(ctx, name)
	return in.size, err
}

// head is remote.head, tried again.
func (s *Store) head(ctx context.Context, name string) (in info, err error) {
	err = s.start(ctx, "looking up", name).do(func() error {
		in, err = s.remote.head(ctx, name)
		return err
	})
	return in, err
}

// ReadAt sets all of p to the object's bytes from off on. A remote store gets one
// request for it. Where the object ends before, the error is ErrShort.
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if off < 0 {
		return fmt.Errorf("reading %s: offset %d is negative", s.where(name), off)
	}
	switch {
	case len(p) == 0:
		return nil
	case s.remote == nil:
		return s.readLocal(name, p, off)
	}
	return s.start(ctx, "reading", name).do(func() error {
		return s.readOnce(ctx, name, p, off)
	})
}

// Write gives write what becomes the object when write returns nil; on any error an
// object of that name is as it was.
func (s *Store) Write(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := CheckName(name); err != nil {
		return err
	}
	switch r := s.remote.(type) {
	case nil:
		return s.writeLocal(name, write)
	case *bucket:
		return r.write(ctx, name, write)
	}
	return s.unsupported("write", name)
}

// Upload copies a file of this machine to the object name, and holds size and checksum
// of what is there then to the file's. progress, if not nil, is told from time to time
// how many bytes are on their way.
func (s *Store) Upload(ctx context.Context, name, file string, progress func(int64)) error {
	if err := CheckName(name); err != nil {
		return err
	}
	switch r := s.remote.(type) {
	case nil:
		return s.copyLocal(ctx, name, file, progress)
	case *bucket:
		return r.upload(ctx, name, file, progress)
	}
	return s.unsupported("write", name)
}

// List yields the objects whose names begin with prefix, in the order of the names'
// bytes. Names that CheckName refuses are left out. An error ends it, and is all that a
// folder yields which is not there.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	err := checkPrefix(prefix)
	switch r := s.remote.(type) {
	case nil:
		if err == nil {
			return s.listLocal(prefix)
		}
	case *bucket:
		if err == nil {
			return r.list(ctx, prefix)
		}
	default:
		err = s.unsupported("list", prefix)
	}
	return func(yield func(Object, error) bool) { yield(Object{}, err) }
}

// Remove removes an object.
func (s *Store) Remove(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	switch r := s.remote.(type) {
	case nil:
		return s.removeLocal(name)
	case *bucket:
		return r.remove(ctx, name)
	}
	return s.unsupported("remove", name)
}

func (s *Store) unsupported(what, name string) error {
	return fmt.Errorf("cannot %s %s over plain HTTP: %w: use a folder or s3://",
		what, s.where(name), ErrUnsupported)
}
