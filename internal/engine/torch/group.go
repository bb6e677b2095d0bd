package torch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"avjepa/internal/engine"
)

// GroupConfig says which process this is among how many.
type GroupConfig struct {
	Rank, Size int
	Address    string        // of this machine, for the others to connect to
	Interface  string        // its network interface instead, if not empty
	Timeout    time.Duration // of one sum over the processes
	// Explain returns what is behind an error of a sum, if more is known: which
	// process was lost.
	Explain func(error) error
}

// Group implements engine.Group over c10d: gloo for host memory, whose threads sum
// while the engine computes on, and NCCL for that of GPUs. A sum is made by one
// process for each stretch of the operand and handed round, so its bits are the same
// in all processes.
type Group struct {
	cfg    GroupConfig
	lib    *library
	f      *groupFunctions
	engine engine.Engine
	host   engine.HostMemory // nil: engine is an Engine of this package
	device uintptr           // avj_engine, or 0
	handle uintptr           // avj_group; 0 after Close
	begun  []begun
	err    error // the first fault
}

var _ engine.Group = (*Group)(nil)

// begun is an average that Wait will finish.
type begun struct {
	x    engine.Tensor
	work uintptr // avj_work
}

type groupOpenArgs struct {
	store              uintptr
	address, netDevice *byte
	rank, size         int64
	timeout            int64
	group              *uintptr
}

// OpenGroup connects all processes with each other, for tensors of e: of this
// package, or in host memory. All processes call it.
func (s *Store) OpenGroup(e engine.Engine, c GroupConfig) (*Group, error) {
	g := &Group{cfg: c, lib: s.lib, f: s.f, engine: e}
	switch e := e.(type) {
	case *Engine:
		g.device = e.handle
	case engine.HostMemory:
		g.host = e
	default:
		return nil, fmt.Errorf("torch: the memory of the engine %s cannot be summed over "+
			"processes: use cpu or torch", e.Info().Name)
	}
	if s.f.kinds.call(0, 0, 0)&kindGloo == 0 && !e.Info().Async {
		return nil, errors.New("torch: this libtorch came without gloo's headers, so processes can " +
			"train together on GPUs only: use a libtorch with gloo (`avjepa doctor` lists them)")
	}
	a := &groupOpenArgs{store: s.handle, address: cString(c.Address),
		netDevice: cString(c.Interface), rank: int64(c.Rank), size: int64(c.Size),
		timeout: c.Timeout.Milliseconds(), group: &g.handle}
	message := s.f.open.call(0, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
	if err := s.lib.fault(message); err != nil {
		return nil, g.explain("connecting with the other processes", err)
	}
	return g, nil
}

// Rank returns this process's number.
func (g *Group) Rank() int { return g.cfg.Rank }

// Size returns the number of processes.
func (g *Group) Size() int { return g.cfg.Size }

// Err returns the first fault.
func (g *Group) Err() error { return g.err }

type groupSumArgs struct {
	engine uintptr
	tensor tensorArg
	host   *float32
	elems  int64
	work   *uintptr
}

// operand returns what the shim is to see of x.
func (g *Group) operand(what string, x engine.Tensor) *groupSumArgs {
	engine.CheckDenseFloats(what, x)
	if g.host != nil {
		return &groupSumArgs{host: unsafe.SliceData(g.host.HostFloats(x)), elems: int64(x.Elems())}
	}
	return &groupSumArgs{engine: g.device, tensor: g.engine.(*Engine).arg(x), elems: int64(x.Elems())}
}

// Average begins to replace x by its mean over the processes.
func (g *Group) Average(x engine.Tensor) {
	a := g.operand("Average", x)
	if g.err != nil || x.Elems() == 0 {
		return
	}
	b := begun{x: x}
	a.work = &b.work
	message := g.f.sum.call(g.handle, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
	g.check("beginning a sum over the processes", message)
	if g.err == nil {
		g.begun = append(g.begun, b)
	}
}

// Wait finishes the averages begun.
func (g *Group) Wait() {
	for _, b := range g.begun {
		g.check("a sum over the processes", g.f.wait.call(g.device, b.work, 0))
		if g.err == nil {
			g.engine.Scale(b.x, 1/float32(g.cfg.Size))
		}
	}
	g.begun = g.begun[:0]
}

// Broadcast replaces x by process 0's.
func (g *Group) Broadcast(x engine.Tensor) {
	a := g.operand("Broadcast", x)
	if g.err != nil || x.Elems() == 0 {
		return
	}
	message := g.f.broadcast.call(g.handle, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
	g.check("a broadcast of process 0", message)
}

type groupGatherArgs struct {
	engine    uintptr
	mine, all *byte
	bytes     int64
}

// mostExchanged bounds the bytes that all processes together may exchange: what comes
// from another machine must not make this one allocate without end.
const mostExchanged = 1 << 33

// Exchange returns the bytes of every process, by rank.
func (g *Group) Exchange(mine []byte) ([][]byte, error) {
	lengths := g.gather(binary.LittleEndian.AppendUint64(nil, uint64(len(mine))))
	longest := len(mine)
	for r, n := range lengths {
		n := binary.LittleEndian.Uint64(n)
		if n > mostExchanged/uint64(g.cfg.Size) {
			g.err = fmt.Errorf("torch: an exchange between the processes: rank %d has %d bytes for "+
				"all, at most %d are taken from each of %d", r, n, mostExchanged/g.cfg.Size, g.cfg.Size)
			return nil, g.err
		}
		longest = max(longest, int(n))
	}
	all := make([][]byte, g.cfg.Size)
	if longest > 0 {
		all = g.gather(append(mine[:len(mine):len(mine)], make([]byte, longest-len(mine))...))
	}
	if g.err != nil {
		return nil, g.err
	}
	for r, n := range lengths {
		all[r] = all[r][:binary.LittleEndian.Uint64(n)]
	}
	return all, nil
}

// gather returns the equally long bytes of all processes, nil after a fault.
func (g *Group) gather(mine []byte) [][]byte {
	if g.err != nil {
		return nil
	}
	n := len(mine)
	flat := make([]byte, n*g.cfg.Size)
	a := &groupGatherArgs{engine: g.device, mine: &mine[0], all: &flat[0], bytes: int64(n)}
	g.check("an exchange between the processes",
		g.f.gather.call(g.handle, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a)))
	if g.err != nil {
		return nil
	}
	all := make([][]byte, g.cfg.Size)
	for r := range all {
		all[r] = flat[r*n:][:n:n]
	}
	return all
}

// check keeps the fault that a message of the shim's says, if it is the first.
func (g *Group) check(what string, message uintptr) {
	if err := g.lib.fault(message); err != nil && g.err == nil {
		g.err = g.explain(what, err)
	}
}

// explain makes an engine.ErrLost of an error.
func (g *Group) explain(what string, err error) error {
	if g.cfg.Explain != nil {
		err = g.cfg.Explain(err)
	}
	if errors.Is(err, engine.ErrLost) {
		return err
	}
	return fmt.Errorf("torch: %s: %w (rank %d of %d: %w)", what, engine.ErrLost, g.cfg.Rank,
		g.cfg.Size, err)
}

// Close leaves the group. After a fault it leaves its threads, which may wait for a
// process that is gone, to the end of this process.
func (g *Group) Close() {
	if g.handle != 0 && g.err == nil && len(g.begun) == 0 {
		g.f.close.call(g.handle, 0, 0)
	}
	g.handle = 0
}
