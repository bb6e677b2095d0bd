package media

import (
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
	inputs  []*os.File    // our ends; the child's are 0 and what follows its outputs
	outputs []*os.File    // our ends; the child's are 1, 3, 4, …
	log     *childLog     // what it says on stderr
	stderr  messagePipe   // our end
	hurry   chan struct{} // asks for stderr to be read now
	gone    chan struct{} // closed when the child is gone
	heard   chan struct{} // closed when all it said has been read
	detach  func() bool   // stops ctx from closing the pipes
	release func()        // of ctx
}

// start runs a program with pipes for inputs (0 or more) and outputs (1 or more);
// files are further descriptors of it, behind those. When ctx ends, or the child
// says more than Limits.MaxLogBytes, its process group is killed and our ends are
// closed, so that no reader stays blocked. After success the caller must call wait.
func start(ctx context.Context, program string, args []string, lim Limits,
	inputs, outputs int, files ...*os.File) (_ *process, err error) {

	lim = lim.withDefaults()
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cmd: exec.CommandContext(ctx, program, args...), release: cancel}
	p.log = newChildLog(lim.MaxLogBytes, cancel)
	p.hurry, p.gone, p.heard = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	p.cmd.Env = environment()
	setGroup(p.cmd)

	var childEnds []*os.File
	defer func() {
		closeAll(childEnds)
		if err != nil {
			p.closePipes()
			p.stderr.close()
			cancel()
		}
	}()
	for i := range outputs {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		p.outputs, childEnds = append(p.outputs, r), append(childEnds, w)
		widen(w)
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
	var stderr *os.File
	if p.stderr, stderr, err = newMessagePipe(); err != nil {
		return nil, err
	}
	childEnds, p.cmd.Stderr = append(childEnds, stderr), stderr
	p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, files...)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	limitResources(p.cmd.Process.Pid, lim)
	go p.listen()
	p.detach = context.AfterFunc(ctx, p.closePipes)
	return p, nil
}

// wait closes our ends of the pipes and returns when the child is gone: after a
// while of its own accord if it was read to the end, else by a broken pipe or
// because ctx ended. What the child started in its process group is gone with it.
// A second call does nothing.
func (p *process) wait() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	p.detach()
	p.closePipes()
	killRest(p.cmd.Process.Pid)
	err := p.cmd.Wait()
	close(p.gone)
	<-p.heard
	p.stderr.close()
	p.release()
	p.log.close()
	return err
}

const (
	listenPause = 20 * time.Millisecond
	listenMuch  = 32 << 10 // bytes at a time: who says so much is not made to wait
)

// listen reads what the child says from time to time: ffmpeg writes words, not
// lines, and to wake up for each costs more than decoding some frames. Who else
// holds the pipe when the child is gone is not waited for.
func (p *process) listen() {
	defer close(p.heard)
	buffer := make([]byte, 16<<10)
	for last := false; ; {
		said := 0
		for more := true; more; {
			var n int
			n, more = p.stderr.readNow(buffer)
			if _, err := p.log.Write(buffer[:n]); err != nil {
				return
			}
			said += n
		}
		if last {
			return
		}
		pause := listenPause
		if said >= listenMuch {
			pause = 0
		}
		select {
		case <-p.hurry:
		case <-time.After(pause):
		case <-p.gone:
			last = true
		}
	}
}

// listenNow ends a pause of listen.
func (p *process) listenNow() {
	select {
	case p.hurry <- struct{}{}:
	default:
	}
}

// overTime reports, after wait, whether the child used up its processor time.
// Its state does not tell, because ffmpeg catches that signal and ends politely.
func (p *process) overTime(lim Limits) bool {
	used := p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	return used >= lim.Timeout*childThreads
}

// pipeBytes is what a pipe from a child may hold where the system allows it.
const pipeBytes = 1 << 20

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
