package neardup

import (
	"cmp"
	"context"
	"math/bits"
	"runtime"
	"slices"
	"sync"
)

// When two signatures are of one recording.
const (
	leastShared   = 5  // landmarks in common,
	leastMoments  = 4  // in as many moments, or half of those there are: a word makes several
	mostBits      = 16 // of 64 by which the middle one of the frames may differ
	mostBitsAlone = 3  // and the worst one of clips that both have no landmarks
)

// Bounds of the search.
const (
	partitions = 16      // of the values looked up, one after the other: bounds memory
	crowd      = 24      // more clips with one value are compared with their next ones only
	neighbours = 8       // so many
	mostPairs  = 1 << 22 // that are found
)

// Pair names two signatures of one recording by their places, A < B.
type Pair struct {
	A, B    int
	Picture float64 // share of bits that differ, in the middle one of the frames; 0 without
	Sound   float64 // share of landmarks that differ; 0 without
}

// Find returns the pairs of signatures that agree, by A and B. Of a value that very
// many share not all pairs are compared, and after 4 million it looks for no more:
// of a clip that is there a thousand times, each one still has a partner. The error is
// the context's.
func Find(ctx context.Context, all []Signature) ([]Pair, error) {
	found := make([][]Pair, partitions)
	next := make(chan int, partitions)
	for p := range partitions {
		next <- p
	}
	close(next)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			s := search{all: all}
			for p := range next {
				if ctx.Err() != nil {
					return
				}
				found[p] = s.partition(uint32(p))
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return distinct(slices.Concat(found...)), nil
}

func distinct(pairs []Pair) []Pair {
	slices.SortFunc(pairs, func(p, q Pair) int { return cmp.Or(p.A-q.A, p.B-q.B) })
	return slices.Compact(pairs)
}

// search is the work of one goroutine.
type search struct {
	all     []Signature
	entries []uint64 // a value looked up, and in the low half the place of its clip
}

// partition compares the clips that share a value of partition p.
func (s *search) partition(p uint32) []Pair {
	s.entries = s.entries[:0]
	for i := range s.all {
		s.add(i, p)
	}
	slices.Sort(s.entries)
	var found []Pair
	for rest := s.entries; len(rest) > 1; {
		n := 1
		for n < len(rest) && rest[n]>>32 == rest[0]>>32 {
			n++
		}
		found = s.compare(found, rest[:n])
		if rest = rest[n:]; len(found) > mostPairs/partitions {
			if found = distinct(found); len(found) > mostPairs/partitions {
				return found
			}
		}
	}
	return distinct(found)
}

// add enters clip i under each of its values in partition p: its landmarks or, when it
// has none, the halves of its picture hashes.
func (s *search) add(i int, p uint32) {
	enter := func(value uint32) {
		if value = mix(value); value%partitions == p {
			s.entries = append(s.entries, uint64(value)<<32|uint64(uint32(i)))
		}
	}
	c := &s.all[i]
	for _, m := range c.Marks {
		enter(m >> 8)
	}
	if len(c.Marks) > 0 {
		return
	}
	for k, h := range c.Pictures {
		for half, v := range []uint32{uint32(h), uint32(h >> 32)} {
			if ones := bits.OnesCount32(v); ones > 3 && ones < 29 { // flat is like all flat
				enter(v ^ mix(uint32(2*k+half)))
			}
		}
	}
}

// compare appends the pairs among clips that share a value.
func (s *search) compare(found []Pair, clips []uint64) []Pair {
	reach := len(clips)
	if reach > crowd {
		reach = neighbours
	}
	for i, a := range clips {
		for _, b := range clips[i+1 : min(len(clips), i+1+reach)] {
			if p, same := s.agree(int(uint32(a)), int(uint32(b))); same && p.A != p.B {
				found = append(found, p)
			}
		}
	}
	return found
}

// agree says whether two clips are of one recording.
func (s *search) agree(i, j int) (Pair, bool) {
	a, b := &s.all[i], &s.all[j]
	p := Pair{A: min(i, j), B: max(i, j)}
	if (len(a.Marks) == 0) != (len(b.Marks) == 0) ||
		len(a.Pictures) != len(b.Pictures) {
		return p, false
	}
	if n := min(len(a.Marks), len(b.Marks)); n > 0 {
		same, moments := shared(a.Marks, b.Marks)
		if same < leastShared {
			return p, false
		}
		all := min(momentsOf(a.Marks), momentsOf(b.Marks))
		if moments < min(leastMoments, (all+1)/2) {
			return p, false
		}
		p.Sound = 1 - float64(same)/float64(n)
	}
	if len(a.Pictures) > 0 {
		middle, worst := pictureDistance(a.Pictures, b.Pictures)
		if middle > mostBits || len(a.Marks) == 0 && worst > mostBitsAlone {
			return p, false
		}
		p.Picture = float64(middle) / 64
	}
	return p, true
}

// pictureDistance returns the median and the largest of the differing bits of hashes.
func pictureDistance(a, b []uint64) (middle, worst int) {
	var d [pictures]int
	n := min(len(a), len(b), pictures)
	for i := range n {
		d[i] = bits.OnesCount64(a[i] ^ b[i])
	}
	slices.Sort(d[:n])
	return d[n/2], d[n-1]
}

// shared counts the landmarks that two signatures have in common, shifted by one time,
// and the moments that these lie in; when there are leastShared at all.
func shared(a, b []uint32) (most, moments int) {
	var at, shift [mostMarks]uint8
	n := 0
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0]>>8, b[0]>>8; {
		case x < y:
			a = a[1:]
		case x > y:
			b = b[1:]
		default:
			at[n], shift[n] = uint8(a[0]), uint8(a[0]-b[0])
			n, a, b = n+1, a[1:], b[1:]
		}
	}
	if n < leastShared {
		return n, 0
	}
	var count [256]uint8
	for _, x := range shift[:n] {
		count[x]++
	}
	var best uint8
	for _, x := range shift[:n] { // the next unit counts too, round after 255
		if same := int(count[x]) + int(count[x+1]); same > most {
			most, best = same, x
		}
	}
	var here, there uint64
	for i, x := range shift[:n] {
		if x-best <= 1 {
			here, there = here|moment(at[i]), there|moment(at[i]-x)
		}
	}
	return most, min(bits.OnesCount64(here), bits.OnesCount64(there))
}

// moment has the bit of a landmark's quarter of a second, of 64 that go round.
func moment(at uint8) uint64 { return 1 << (at >> 2) }

// momentsOf counts the moments of a signature's landmarks.
func momentsOf(marks []uint32) int {
	when := uint64(0)
	for _, m := range marks {
		when |= moment(uint8(m))
	}
	return bits.OnesCount64(when)
}
