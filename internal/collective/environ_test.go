package collective

import (
	"strings"
	"testing"
)

func from(pairs ...string) func(string) string {
	env := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		env[k] = v
	}
	return func(k string) string { return env[k] }
}

func TestFromEnviron(t *testing.T) {
	master := []string{"MASTER_ADDR=node7", "MASTER_PORT=29500"}
	for name, c := range map[string]struct {
		env  []string
		want Place
	}{
		"nothing": {nil, Place{Size: 1, LocalSize: 1}},
		"torchrun": {append(master, "RANK=5", "WORLD_SIZE=8", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=4",
			"TORCHELASTIC_USE_AGENT_STORE=True", "TORCHELASTIC_RESTART_COUNT=2"),
			Place{5, 8, 1, 4, "node7", 29500, true, "2"}},
		"a pod each": {append(master, "RANK=1", "WORLD_SIZE=2"),
			Place{1, 2, 0, 1, "node7", 29500, false, ""}},
		"alone, said": {[]string{"RANK=0", "WORLD_SIZE=1"}, Place{Size: 1, LocalSize: 1}},
		"srun": {append(master, "SLURM_PROCID=9", "SLURM_NTASKS=10", "SLURM_LOCALID=1",
			"SLURM_NODEID=2", "SLURM_STEP_TASKS_PER_NODE=4(x2),2"),
			Place{9, 10, 1, 2, "node7", 29500, false, ""}},
		"srun by the plan": {append(master, "SLURM_PROCID=3", "SLURM_NTASKS=16", "SLURM_LOCALID=3",
			"SLURM_NTASKS_PER_NODE=8"),
			Place{3, 16, 3, 8, "node7", 29500, false, ""}},
		// A plain command in a batch script sees Slurm's numbers too.
		"a batch script": {[]string{"SLURM_PROCID=0", "SLURM_NTASKS=8"}, Place{Size: 1, LocalSize: 1}},
	} {
		got, err := FromEnviron(from(c.env...))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestFromEnvironErrors(t *testing.T) {
	all := []string{"RANK=1", "WORLD_SIZE=4", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=4",
		"MASTER_ADDR=a", "MASTER_PORT=1234"}
	for _, c := range []struct {
		changed string
		want    []string
	}{
		{"RANK=", []string{"RANK is not set"}},
		{"RANK=4", []string{`RANK = "4"`, "0 to 3"}},
		{"RANK=-1", []string{`RANK = "-1"`}},
		{"RANK=one", []string{`RANK = "one"`}},
		{"WORLD_SIZE=", []string{"WORLD_SIZE is not set"}},
		{"WORLD_SIZE=0", []string{`WORLD_SIZE = "0"`}},
		{"WORLD_SIZE=99999999", []string{`WORLD_SIZE = "99999999"`}},
		{"LOCAL_RANK=", []string{"LOCAL_RANK is not set"}},
		{"LOCAL_RANK=4", []string{`LOCAL_RANK = "4"`}},
		{"LOCAL_WORLD_SIZE=5", []string{`LOCAL_WORLD_SIZE = "5"`, "1 to 4"}},
		{"MASTER_ADDR=", []string{"MASTER_ADDR is not set"}},
		{"MASTER_PORT=", []string{"MASTER_PORT is not set"}},
		{"MASTER_PORT=65536", []string{`MASTER_PORT = "65536"`}},
	} {
		_, err := FromEnviron(from(append(all, c.changed)...))
		if err == nil {
			t.Errorf("%s: no error", c.changed)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v lacks %q", c.changed, err, w)
			}
		}
		if n := strings.Count(err.Error(), "\n"); n != 0 {
			t.Errorf("%s: %d errors for one fault: %v", c.changed, n+1, err)
		}
	}
	_, err := FromEnviron(from("RANK=x", "WORLD_SIZE=2", "MASTER_PORT=y"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v, want three faults", err)
	}
	for list, node := range map[string]int{"": 0, "4": 1, "4(x2)": 2, "x": 0, "4(xx)": 0, "0": 0} {
		if n, err := tasksOfNode(list, node); err == nil {
			t.Errorf("%q has %d tasks on machine %d", list, n, node)
		}
	}
}
