package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// shared are the commands that several processes can do together.
var shared = []string{"pretrain", "retrieve"}

// launchOptions say which processes to start here.
type launchOptions struct {
	procs           int
	nodes, nodeRank int
	master          string
}

func newLaunchCommand() *cobra.Command {
	o := &launchOptions{}
	c := &cobra.Command{
		Use:   "launch --procs N -- COMMAND …",
		Short: "Run a command as several processes that work together",
		Long: `Starts a command of avjepa as N processes on this machine, one for each GPU or some of
the cores each, which train together. On several machines the same is run on each, with its
--node-rank and the --master of the first. docs/cluster.md has torchrun, Slurm and
Kubernetes. Ctrl-C is passed on: the processes save and leave. When one is lost the others
end within seconds, and the exit code is that of the first that failed.`,
		Example: `  avjepa launch --procs 2 -- pretrain --data data/mine --preset tiny
  avjepa launch --procs 8 --nodes 2 --node-rank 0 --master node0:29500 -- pretrain --data …`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("no command to launch: give one, as in avjepa launch " +
					"--procs 2 -- pretrain --data DIR"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			to, _, err := cmd.Root().Find(args)
			if err != nil || to == cmd.Root() || to == cmd {
				return usageError(fmt.Errorf("cannot launch %q: see avjepa --help for the commands",
					strings.Join(args, " ")))
			}
			if !slices.Contains(shared, to.Name()) {
				return usageError(fmt.Errorf("cannot launch %s, which works in one process: several "+
					"can share %s", to.Name(), strings.Join(shared, " and ")))
			}
			return runLaunch(cmd.Context(), o, args, os.Stdout, os.Stderr)
		},
	}
	f := c.Flags()
	f.SetInterspersed(false) // flags after the command are the command's
	f.IntVar(&o.procs, "procs", 1, "processes on this machine")
	f.IntVar(&o.nodes, "nodes", 1, "machines, with --procs processes each")
	f.IntVar(&o.nodeRank, "node-rank", 0, "number of this machine, from 0")
	f.StringVar(&o.master, "master", "", "HOST:PORT of machine 0, with --nodes; a free port here if not given")
	return c
}

// environment returns the variables of the process with a local rank.
func (o *launchOptions) environment(local int, host, port string) []string {
	return append(os.Environ(),
		fmt.Sprintf("RANK=%d", o.rank(local)), fmt.Sprintf("WORLD_SIZE=%d", o.procs*o.nodes),
		fmt.Sprintf("LOCAL_RANK=%d", local), fmt.Sprintf("LOCAL_WORLD_SIZE=%d", o.procs),
		"MASTER_ADDR="+host, "MASTER_PORT="+port,
		"TORCHELASTIC_USE_AGENT_STORE=", "TORCHELASTIC_RESTART_COUNT=")
}

func (o *launchOptions) rank(local int) int { return o.nodeRank*o.procs + local }

// check returns the address of process 0, or what is wrong with the flags.
func (o *launchOptions) check() (host, port string, err error) {
	const most = 1024
	switch {
	case o.procs < 1 || o.procs > most:
		err = fmt.Errorf("--procs %d: want 1 to %d", o.procs, most)
	case o.nodes < 1 || o.nodes > most:
		err = fmt.Errorf("--nodes %d: want 1 to %d", o.nodes, most)
	case o.nodeRank < 0 || o.nodeRank >= o.nodes:
		err = fmt.Errorf("--node-rank %d: want 0 to %d, with --nodes %d", o.nodeRank, o.nodes-1, o.nodes)
	case o.master == "" && o.nodes > 1:
		err = errors.New("--nodes needs --master HOST:PORT, the same on all machines")
	}
	if err != nil {
		return "", "", usageError(err)
	}
	if o.master == "" {
		port, err := freePort()
		return "127.0.0.1", port, err
	}
	host, port, err = net.SplitHostPort(o.master)
	if n, errPort := strconv.Atoi(port); err != nil || host == "" || errPort != nil || n < 1 || n > 1<<16-1 {
		return "", "", usageError(fmt.Errorf("--master %q: want HOST:PORT, such as node0:29500", o.master))
	}
	return host, port, nil
}

// freePort returns a port that nobody listens to now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("launch: no free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// patience is how long processes may stay when another one has failed, until they
// are asked to leave, and then until they are ended.
const patience = 3 * time.Second

// child is one of the processes.
type child struct {
	rank int
	cmd  *exec.Cmd
	out  *prefixer // nil for rank 0
}

// runLaunch starts the processes and waits for all. Its error has the exit code of
// the first that failed.
func runLaunch(ctx context.Context, o *launchOptions, args []string, stdout, stderr *os.File) error {
	host, port, err := o.check()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	// A child is told of its parent's end when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var children []*child
	ended := make(chan *child, o.procs)
	for local := range o.procs {
		c := &child{rank: o.rank(local), cmd: exec.Command(self, args...)}
		c.cmd.Env = o.environment(local, host, port)
		c.cmd.SysProcAttr = childAttributes()
		c.cmd.WaitDelay = time.Second
		if c.rank == 0 {
			c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
		} else {
			c.out = &prefixer{out: stderr, prefix: fmt.Sprintf("[rank %d] ", c.rank)}
			c.cmd.Stderr = c.out
		}
		if err := c.cmd.Start(); err != nil {
			for _, c := range children {
				c.cmd.Process.Kill()
			}
			return fmt.Errorf("launch: starting rank %d: %w", c.rank, err)
		}
		children = append(children, c)
		go func() { c.cmd.Wait(); ended <- c }()
	}
	return attend(ctx, children, ended, stderr)
}

// attend waits for all children, passes an interrupt on, and ends those that stay
// when another one has failed.
func attend(ctx context.Context, children []*child, ended <-chan *child, stderr io.Writer) error {
	tell := func(s os.Signal) {
		for _, c := range children {
			c.cmd.Process.Signal(s) // one that has ended does not mind
		}
	}
	interrupt := ctx.Done()
	var leave, kill <-chan time.Time
	worst, asked := 0, false
	for left := len(children); left > 0; {
		select {
		case c := <-ended:
			left--
			code, why := c.end()
			// A process that ends because another one was lost may end before it.
			if code == 0 || asked || worst != 0 && worst != exitLost {
				continue
			}
			worst = code
			if why != "" {
				fmt.Fprintf(stderr, "avjepa: rank %d (process %d) %s\n", c.rank, c.cmd.Process.Pid, why)
			}
			if leave == nil && code != exitInterrupted && code != exitPartial {
				leave = time.After(patience) // all are about to end
			}
		case <-interrupt:
			tell(os.Interrupt)
			interrupt = nil
		case <-leave:
			asked = true
			tell(syscall.SIGTERM)
			kill = time.After(patience)
		case <-kill:
			tell(os.Kill)
		}
	}
	if worst == 0 {
		return nil
	}
	return said{exited(worst)}
}

// exited is the exit code of a process that has said what is wrong itself.
type exited int

func (e exited) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// end returns the exit code of a child that has ended, and for one that could not
// say it why it did.
func (c *child) end() (code int, why string) {
	if c.out != nil {
		c.out.flush()
	}
	state := c.cmd.ProcessState
	if code = state.ExitCode(); code >= 0 {
		return code, ""
	}
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal()), "was ended by a signal: " + s.Signal().String()
	}
	return exitError, "ended: " + state.String()
}
