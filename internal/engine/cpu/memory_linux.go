package cpu

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// allocate maps n zeroed bytes, on huge pages where the kernel gives them.
func allocate(n int) ([]byte, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		if total := uint64(info.Totalram) * uint64(info.Unit); uint64(n) > total {
			return nil, fmt.Errorf("%d MiB wanted, the machine has %d: use a smaller batch or model",
				n>>20, total>>20)
		}
	}
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d MiB: %w", n>>20, err)
	}
	if n >= hugePage {
		// A refusal costs speed only.
		_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	}
	return mem, nil
}

// release unmaps what allocate returned. Munmap of a whole mapping cannot fail.
func release(mem []byte) { _ = unix.Munmap(mem) }
