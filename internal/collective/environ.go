package collective

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Place says where a process stands among those that were started together.
type Place struct {
	Rank, Size           int    // among all processes; Size 1: alone
	LocalRank, LocalSize int    // among those on this machine
	Master               string // host name or address of process 0
	Port                 int    // of the store there
	// Served: whoever started the processes serves the store too (torchrun does),
	// so process 0 must not.
	Served bool
	// Attempt keeps the keys of processes that were started again apart from those
	// of the ones before.
	Attempt string
}

// maxSize bounds WORLD_SIZE: beyond it something is wrong, and tables by rank
// would be large.
const maxSize = 1 << 16

// FromEnviron reads the place from the variables that torchrun, a Kubernetes
// PyTorchJob and avjepa launch set: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE,
// MASTER_ADDR, MASTER_PORT. Without RANK and WORLD_SIZE, but with MASTER_ADDR, the
// task numbers of Slurm's srun stand in for them. With neither a process is alone.
// The error names every variable that cannot be used.
func FromEnviron(get func(string) string) (Place, error) {
	v := variables{get: get}
	var p Place
	switch {
	case get("RANK") != "" || get("WORLD_SIZE") != "":
		p.Size = v.number("WORLD_SIZE", 1, maxSize)
		p.Rank = v.number("RANK", 0, p.Size-1)
		p.LocalSize, p.LocalRank = 1, 0
		if get("LOCAL_WORLD_SIZE") != "" || get("LOCAL_RANK") != "" {
			p.LocalSize = v.number("LOCAL_WORLD_SIZE", 1, p.Size)
			p.LocalRank = v.number("LOCAL_RANK", 0, p.LocalSize-1)
		}
	case get("SLURM_PROCID") != "" && get("SLURM_NTASKS") != "" && get("MASTER_ADDR") != "":
		p.Size = v.number("SLURM_NTASKS", 1, maxSize)
		p.Rank = v.number("SLURM_PROCID", 0, p.Size-1)
		p.LocalSize = v.slurmLocalSize()
		p.LocalRank = v.number("SLURM_LOCALID", 0, p.LocalSize-1)
	default:
		return Place{Size: 1, LocalSize: 1}, nil
	}
	if p.Size > 1 {
		p.Master = v.text("MASTER_ADDR")
		p.Port = v.number("MASTER_PORT", 1, 1<<16-1)
	}
	p.Served = get("TORCHELASTIC_USE_AGENT_STORE") == "True"
	p.Attempt = get("TORCHELASTIC_RESTART_COUNT")
	if len(v.bad) > 0 {
		return Place{}, errors.Join(v.bad...)
	}
	return p, nil
}

// variables reads environment variables and collects what is wrong with them.
type variables struct {
	get func(string) string
	bad []error
}

func (v *variables) text(name string) string {
	s := v.get(name)
	if s == "" {
		v.bad = append(v.bad, fmt.Errorf("%s is not set: it must say where process 0 is, "+
			"together with RANK and WORLD_SIZE", name))
	}
	return s
}

// number returns an integer of lo … hi. What is wrong is reported once: after a
// fault the bounds that depend on the value are wide.
func (v *variables) number(name string, lo, hi int) int {
	s := v.get(name)
	if s == "" {
		v.bad = append(v.bad, fmt.Errorf("%s is not set: processes that run together need it "+
			"beside the other variables (RANK, WORLD_SIZE, …)", name))
		return maxSize
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi {
		v.bad = append(v.bad, fmt.Errorf("%s = %q: want a whole number of %d to %d", name, s, lo, hi))
		return maxSize
	}
	return n
}

// slurmLocalSize returns the number of tasks on this machine of a Slurm step.
func (v *variables) slurmLocalSize() int {
	if s := v.get("SLURM_STEP_TASKS_PER_NODE"); s != "" {
		node := v.number("SLURM_NODEID", 0, maxSize)
		n, err := tasksOfNode(s, node)
		if err != nil {
			v.bad = append(v.bad, fmt.Errorf("SLURM_STEP_TASKS_PER_NODE = %q: %w", s, err))
		}
		return n
	}
	return v.number("SLURM_NTASKS_PER_NODE", 1, maxSize)
}

// tasksOfNode reads Slurm's list of tasks by machine, such as "8(x2),4": 8 on
// machines 0 and 1, 4 on machine 2.
func tasksOfNode(list string, node int) (int, error) {
	first := 0
	for _, part := range strings.Split(list, ",") {
		tasks, times, many := strings.Cut(part, "(x")
		n, err := strconv.Atoi(tasks)
		count := 1
		if many && err == nil {
			count, err = strconv.Atoi(strings.TrimSuffix(times, ")"))
		}
		if err != nil || n < 1 || count < 1 || n > maxSize || count > maxSize {
			return maxSize, fmt.Errorf("want tasks by machine, such as 8(x2),4, each at most %d",
				maxSize)
		}
		if node < first+count {
			return n, nil
		}
		first += count
	}
	return maxSize, fmt.Errorf("machine %d is not in it", node)
}
