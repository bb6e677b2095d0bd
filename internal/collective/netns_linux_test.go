package collective

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// inNamespaces makes two network namespaces joined by a cable, as two machines are:
// they share neither loopback nor addresses. It returns their names; theirs are
// 10.77.0.1 and 10.77.0.2.
func inNamespaces(t *testing.T) [2]string {
	t.Helper()
	id := os.Getpid() % 100000
	names := [2]string{fmt.Sprint("avjepa-a", id), fmt.Sprint("avjepa-b", id)}
	ip := func(args string) error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return err
	}
	for _, n := range names {
		if err := ip("netns add " + n); err != nil {
			if os.Geteuid() == 0 && slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "torch") {
				t.Fatal(err)
			}
			t.Skipf("no network namespaces: %v", err)
		}
		t.Cleanup(func() { ip("netns del " + n) })
	}
	for _, args := range []string{
		"-n " + names[0] + " link add eth0 type veth peer name eth0 netns " + names[1],
		"-n " + names[0] + " address add 10.77.0.1/24 dev eth0",
		"-n " + names[1] + " address add 10.77.0.2/24 dev eth0",
		"-n " + names[0] + " link set eth0 up", "-n " + names[1] + " link set eth0 up",
		"-n " + names[0] + " link set lo up", "-n " + names[1] + " link set lo up",
	} {
		if err := ip(args); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// startApart starts a process in each namespace.
func startApart(t *testing.T, names [2]string, role string) []*process {
	t.Helper()
	var all []*process
	for rank, n := range names {
		all = append(all, startAs(t, role, []string{"ip", "netns", "exec", n}, "TEST_ENGINE=cpu",
			fmt.Sprint("RANK=", rank), "WORLD_SIZE=2", "MASTER_ADDR=10.77.0.1", "MASTER_PORT=29500",
			"TEST_TIMEOUT=20s"))
	}
	return all
}

// Processes on two machines sum, and notice when the cable is cut.
func TestAcrossNamespaces(t *testing.T) {
	t.Parallel()
	names := inNamespaces(t)
	all := startApart(t, names, "values")
	for _, p := range all {
		p.ends(t, time.Minute, 0)
	}
	sameBits(t, all)
	all = startApart(t, names, "sum")
	waitSumming(t, all)
	out, err := exec.Command("ip", "-n", names[1], "link", "set", "eth0", "down").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all[0].ends(t, 8*time.Second, 14, "rank 1 on host host1", "no sign of life for 2s")
	all[1].ends(t, 8*time.Second, 14, "rank 0 on host host0")
}
