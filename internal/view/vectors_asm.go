//go:build amd64 && !noasm

package view

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vectors says whether the assembly is used; tests turn it off. The results are
// the same.
var vectors = cpu.X86.HasAVX2

// acrossVectors is acrossGo, unless it returns false: when src ends too early
// for reads of 16 bytes.
func (a *axis) acrossVectors(dst, src []byte) bool {
	if !vectors {
		return false
	}
	t := &a.table
	if !t.ready {
		t.build(a)
	}
	if len(src) < t.reach || len(dst) < 3*len(t.offsets)+4 {
		return false
	}
	acrossAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), &t.offsets[0], &t.weights[0],
		len(t.offsets)/8, t.pairs)
	return true
}

// downVectors does downGo for the columns before the one that it returns.
func downVectors(dst, rows []byte, k []int16, taps int) int {
	n, pairs := len(dst), (taps+1)/2
	if !vectors || n < 32 || len(rows) < 2*pairs*n || len(k) < 2*pairs {
		return 0
	}
	d, r := unsafe.SliceData(dst), unsafe.SliceData(rows)
	downAVX2(d, r, n&^31, n, &k[0], pairs)
	if n%32 != 0 { // the last 32, some of them once more
		at := n - 32
		downAVX2(&dst[at], &rows[at], 32, n, &k[0], pairs)
	}
	return n
}

// mirror is mirrorGo.
func mirror(dst, src []byte) {
	n := (len(dst)/3 - 2) &^ 3 // so many that no load and no store leaves its row
	if vectors && n > 0 && len(src) >= len(dst) {
		rest := len(dst) - 3*n
		mirrorAVX2(&dst[rest], unsafe.SliceData(src), n)
		dst, src = dst[:rest], src[3*n:]
	}
	mirrorGo(dst, src)
}

// loadVectors sets x to the first frame in pcm and the three after it, as
// loadFrame does, unless it returns false.
func (l *LogMel) loadVectors(x []float64, pcm []int16) bool {
	n := l.cfg.NFFT
	if !vectors || n%4 != 0 || len(pcm) < n+(lanes-1)*l.cfg.Hop || len(x) < lanes*n {
		return false
	}
	loadPCMAVX2(&x[0], &pcm[0], &l.pcm[0], n, l.cfg.Hop)
	return true
}

// run is runGo.
func (p *fftPass) run(y, x []float64) {
	if !vectors {
		p.runGo(y, x)
		return
	}
	size := complexLanes*p.radix*p.m*p.s - 1
	_, _ = x[size], y[size]
	pass := pass2AVX2
	switch p.radix {
	case 5:
		pass = pass5AVX2
	case 4:
		pass = pass4AVX2
	}
	pass(&y[0], &x[0], &p.twiddles[0], p.m, p.s)
}

// power is powerGo.
func power(p, z, w []float64, n int) {
	if !vectors || n < 2 {
		powerGo(p, z, w, n)
		return
	}
	_, _, _ = p[lanes*n+lanes-1], z[complexLanes*n-1], w[n/2*2-1]
	powerAVX2(&p[0], &z[0], &w[0], n)
}

// bands is bandsGo.
func (l *LogMel) bands(dst []float32, stride int, power []float64) {
	if !vectors || len(l.quarter) == 0 {
		l.bandsGo(dst, stride, power)
		return
	}
	_, _ = dst[(l.cfg.Bands-1)*stride+lanes-1], power[lanes*(l.cfg.NFFT/2+1)-1]
	bandsAVX2(&dst[0], 4*stride, &power[0], &l.quarter[0], &l.first[0], &l.counts[0], l.cfg.Bands)
}
