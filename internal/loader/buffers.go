package loader

import (
	"math/bits"
	"sync"
)

// buffers is memory for records, which have all sizes: it is given out in sizes of
// eight steps from one power of two to the next, and taken back. All of it together,
// given out or not, stays within a bound while what is given out does.
type buffers struct {
	mu   sync.Mutex
	most int64
	all  int64 // bytes given out and idle
	idle map[int][][]byte
}

// roundUp returns the size that is given out for n bytes.
func roundUp(n int) int {
	step := 1 << max(9, bits.Len(uint(max(n, 1)-1))-4)
	return (n + step - 1) / step * step
}

// take returns n bytes, their values undefined.
func (b *buffers) take(n int) []byte {
	size := roundUp(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.idle[size]; len(have) > 0 {
		buf := have[len(have)-1]
		b.idle[size] = have[:len(have)-1]
		return buf[:n]
	}
	b.trim(int64(size))
	b.all += int64(size)
	return make([]byte, n, size)
}

// trim drops idle memory until more bytes fit within the bound.
func (b *buffers) trim(more int64) {
	for size, have := range b.idle {
		for len(have) > 0 && b.all+more > b.most {
			have[len(have)-1] = nil
			have = have[:len(have)-1]
			b.all -= int64(size)
		}
		b.idle[size] = have
		if b.all+more <= b.most {
			return
		}
	}
}

// give takes back what take returned.
func (b *buffers) give(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle[cap(buf)] = append(b.idle[cap(buf)], buf)
	b.trim(0)
}
