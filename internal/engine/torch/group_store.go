package torch

import (
	"errors"
	"fmt"
	"os/signal"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// groupFunctions are those of src/avjepa_group.h.
type groupFunctions struct {
	kinds                                     function
	storeOpen, storeSet, storeGet, storeEnd   function
	open, close, sum, wait, broadcast, gather function
}

// kinds of avj_group_kinds.
const (
	kindGloo = 1
	kindNCCL = 2
)

// groups are the functions by library, found when first needed.
var groups sync.Map // of *library to func() (*groupFunctions, error)

// group returns the functions for processes.
func (l *library) group() (*groupFunctions, error) {
	once, _ := groups.LoadOrStore(l, sync.OnceValues(func() (*groupFunctions, error) {
		f := &groupFunctions{}
		for name, at := range map[string]*function{
			"avj_group_kinds": &f.kinds, "avj_store_open": &f.storeOpen, "avj_store_set": &f.storeSet,
			"avj_store_get": &f.storeGet, "avj_store_close": &f.storeEnd, "avj_group_open": &f.open,
			"avj_group_close": &f.close, "avj_group_sum": &f.sum, "avj_group_wait": &f.wait,
			"avj_group_broadcast": &f.broadcast, "avj_group_gather": &f.gather,
		} {
			var err error
			if *at, err = l.symbol(name); err != nil {
				return nil, fmt.Errorf("torch: %w (it lacks %s)", ErrNoLibrary, name)
			}
		}
		if f.kinds.call(0, 0, 0) == 0 {
			return nil, errors.New("torch: this libtorch has neither gloo nor NCCL, so processes " +
				"cannot train together: `avjepa doctor` says what it lacks")
		}
		return f, nil
	}))
	return once.(func() (*groupFunctions, error))()
}

// StoreConfig says where a Store is.
type StoreConfig struct {
	Library string // path of the shim
	Host    string // of the process that serves it
	Port    int
	Serve   bool   // this is that process
	Prefix  string // of all names
	Timeout time.Duration
}

// Store is a small map from names to bytes that several processes see, for them to
// find each other. One goroutine at a time may use it.
type Store struct {
	lib    *library
	f      *groupFunctions
	handle uintptr // avj_store; 0 after Close
}

type storeOpenArgs struct {
	host, prefix         *byte
	port, serve, timeout int64
	store                *uintptr
}

// OpenStore connects with a store, or serves it. It waits up to the timeout for the
// one that serves, as Get later does for a value.
func OpenStore(c StoreConfig) (*Store, error) {
	// Threads of libtorch write to sockets whose other end may have ended. Without this
	// the signal of that, which Go handles for its own threads alone, ends the process
	// before it can say who was lost.
	signal.Ignore(syscall.SIGPIPE)
	lib, err := load(c.Library)
	if err != nil {
		return nil, err
	}
	f, err := lib.group()
	if err != nil {
		return nil, err
	}
	s := &Store{lib: lib, f: f}
	a := &storeOpenArgs{host: cString(c.Host), prefix: cString(c.Prefix), port: int64(c.Port),
		serve: flag(c.Serve), timeout: c.Timeout.Milliseconds(), store: &s.handle}
	message := f.storeOpen.call(0, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
	if err := lib.fault(message); err != nil {
		return nil, fmt.Errorf("torch: the store at %s, port %d: %w", c.Host, c.Port, err)
	}
	return s, nil
}

type storeValueArgs struct {
	name, value *byte
	bytes       int64
	found       *uintptr
	foundBytes  *int64
}

// Set gives a name a value.
func (s *Store) Set(name string, value []byte) error {
	a := &storeValueArgs{name: cString(name), value: unsafe.SliceData(value), bytes: int64(len(value))}
	err := s.lib.fault(s.f.storeSet.call(s.handle, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a)))
	if err != nil {
		return fmt.Errorf("torch: storing %s: %w", name, err)
	}
	return nil
}

// Get returns the value of a name, and waits until it has one.
func (s *Store) Get(name string) ([]byte, error) {
	var found uintptr
	var n int64
	a := &storeValueArgs{name: cString(name), found: &found, foundBytes: &n}
	err := s.lib.fault(s.f.storeGet.call(s.handle, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a)))
	if err != nil {
		return nil, fmt.Errorf("torch: waiting for %s from the store: %w", name, err)
	}
	defer s.lib.free.call(found, 0, 0)
	// The address is C's: it is read where it is kept, as a pointer.
	return append([]byte{}, unsafe.Slice(*(**byte)(unsafe.Pointer(&found)), n)...), nil
}

// Close ends the connection, and the store itself where it is served unless a Group
// was opened with it.
func (s *Store) Close() {
	if s.handle != 0 {
		s.f.storeEnd.call(s.handle, 0, 0)
		s.handle = 0
	}
}

// cString returns s with a 0 behind it.
func cString(s string) *byte { return &append([]byte(s), 0)[0] }
