package media

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// process is a running child with its pipes.
type process struct {
	cmd     *exec.Cmd
	inputs  []*os.File  // our ends; the child's are 0 and what follows its outputs
	outputs []*os.File  // our ends; the child's are 1, 3, 4, …
	stderr  *headTail   // what it complained about
	detach  func() bool // stops ctx from closing the pipes
}

// start runs a program with pipes for inputs (0 or more) and outputs (1 or more).
// When ctx ends the child's process group is killed and our ends are closed, so
// that no reader stays blocked. After success the caller must call wait.
func start(ctx context.Context, program string, args []string, lim Limits,
	inputs, outputs int) (p *process, err error) {

	lim = lim.withDefaults()
	p = &process{cmd: exec.CommandContext(ctx, program, args...), stderr: &headTail{}}
	p.cmd.Env = environment()
	p.cmd.Stderr = p.stderr
	p.cmd.WaitDelay = 2 * time.Second // for a grandchild that keeps stderr open
	setGroup(p.cmd)

	var childEnds []*os.File
	defer func() {
		closeAll(childEnds)
		if err != nil {
			p.closePipes()
		}
	}()
	for i := range outputs {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		p.outputs, childEnds = append(p.outputs, r), append(childEnds, w)
		if i == 0 {
			p.cmd.Stdout = w
		} else {
			p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, w)
		}
	}
	for i := range inputs {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		p.inputs, childEnds = append(p.inputs, w), append(childEnds, r)
		if i == 0 {
			p.cmd.Stdin = r
		} else {
			p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, r)
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	limitResources(p.cmd.Process.Pid, lim)
	p.detach = context.AfterFunc(ctx, p.closePipes)
	return p, nil
}

// wait closes our ends of the pipes and returns when the child is gone: after a
// while of its own accord if it was read to the end, else by a broken pipe or
// because ctx ended. A second call does nothing.
func (p *process) wait() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	p.detach()
	p.closePipes()
	return p.cmd.Wait()
}

// kill ends the child's process group at once. wait must still be called.
func (p *process) kill() { _ = p.cmd.Cancel() }

func (p *process) closePipes() {
	closeAll(p.inputs)
	closeAll(p.outputs)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// environment returns what a child may see of ours: where programs and their
// libraries are. Messages come untranslated and uncoloured; FFREPORT and the
// like do not pass.
func environment() []string {
	env := []string{"LC_ALL=C", "AV_LOG_FORCE_NOCOLOR=1"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// readBounded reads to the end and returns at most limit bytes; more is an error.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		return data[:limit], fmt.Errorf("more than %d bytes of output", limit)
	}
	return data, err
}

// headTail is a writer that keeps the first and the last bytes of a stream of any
// length. Not safe for concurrent use; read it after wait.
type headTail struct {
	head, tail []byte
}

const (
	headBytes = 32 << 10 // the description of the input comes first
	tailBytes = 4 << 10  // the reason for giving up comes last
)

func (h *headTail) Write(b []byte) (int, error) {
	n := len(b)
	if room := headBytes - len(h.head); room > 0 {
		k := min(room, len(b))
		h.head = append(h.head, b[:k]...)
		b = b[k:]
	}
	h.tail = append(h.tail, b...)
	if extra := len(h.tail) - tailBytes; extra > 0 {
		h.tail = append(h.tail[:0], h.tail[extra:]...)
	}
	return n, nil
}

// lastLine returns the last line that is not blank, at most 200 bytes of it.
func (h *headTail) lastLine() string {
	text := h.tail
	if len(bytes.TrimSpace(text)) == 0 {
		text = h.head
	}
	text = bytes.TrimSpace(text)
	text = text[bytes.LastIndexByte(text, '\n')+1:]
	if len(text) > 200 {
		text = text[:200]
	}
	return string(bytes.ToValidUTF8(text, []byte("?")))
}
