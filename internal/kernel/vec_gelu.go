package kernel

// GELURow sets y = x·Φ(x), Φ the normal distribution function. y may be x. Where
// Φ(x) is denormal, below x = −12.9, it may count as 0.
func GELURow(y, x []float32) {
	n := len(x)
	y = y[:n]
	wide, w := whole512(n), whole(n)
	if wide > 0 {
		geluAVX512(&y[0], &x[0], wide)
	}
	if w > wide {
		geluAVX2(&y[wide], &x[wide], w-wide)
	}
	if w < n && isa >= AVX2 {
		var t [lanes]float32
		copy(t[:], x[w:])
		geluAVX2(&t[0], &t[0], lanes)
		copy(y[w:], t[:])
		return
	}
	for i := w; i < n; i++ {
		phi, _ := normalGo(x[i])
		y[i] = x[i] * phi
	}
}

// DGELURow sets dx = dy·(Φ(x) + x·φ(x)), φ the normal density. dx may be dy or
// x. Denormal results may be 0.
func DGELURow(dx, dy, x []float32) {
	n := len(x)
	dx, dy = dx[:n], dy[:n]
	wide, w := whole512(n), whole(n)
	if wide > 0 {
		dgeluAVX512(&dx[0], &dy[0], &x[0], wide)
	}
	if w > wide {
		dgeluAVX2(&dx[wide], &dy[wide], &x[wide], w-wide)
	}
	if w < n && isa >= AVX2 {
		var t, dt [lanes]float32
		copy(t[:], x[w:])
		copy(dt[:], dy[w:])
		dgeluAVX2(&dt[0], &dt[0], &t[0], lanes)
		copy(dx[w:], dt[:])
		return
	}
	for i := w; i < n; i++ {
		phi, e := normalGo(x[i])
		dx[i] = dy[i] * (phi + x[i]*(e*invSqrt2Pi))
	}
}

// GELUBackRow does DGELURow and sets y = x·Φ(x), which costs little more. dx may
// be dy, y may be x.
func GELUBackRow(dx, dy, x, y []float32) {
	n := len(x)
	dx, dy, y = dx[:n], dy[:n], y[:n]
	wide, w := whole512(n), whole(n)
	if wide > 0 {
		geluBackAVX512(&dx[0], &dy[0], &x[0], &y[0], wide)
	}
	if w > wide {
		geluBackAVX2(&dx[wide], &dy[wide], &x[wide], &y[wide], w-wide)
	}
	if w < n && isa >= AVX2 {
		var t, dt [lanes]float32
		copy(t[:], x[w:])
		copy(dt[:], dy[w:])
		geluBackAVX2(&dt[0], &dt[0], &t[0], &t[0], lanes)
		copy(dx[w:], dt[:])
		copy(y[w:], t[:])
		return
	}
	for i := w; i < n; i++ {
		v := x[i]
		phi, e := normalGo(v)
		dx[i] = dy[i] * (phi + v*(e*invSqrt2Pi))
		y[i] = v * phi
	}
}

const invSqrt2Pi = 0.3989422804014327 // 1/√2π
