package view

import "math"

// lanes is how many frames of a log-mel are transformed together: number l of
// value i lies at [4·i + l], and a complex value is two values. Every lane has the
// same numbers whatever the others hold.
const lanes = 4

// complexLanes is the size of one complex value.
const complexLanes = 2 * lanes

// An fft transforms complex signals of a length 2ᵃ·5ᵇ.
//
// Products are converted to float64 before they are added up, which keeps
// compilers from fusing the two; the assembly does not fuse either. So, with
// steady tables, results are the same bit for bit on every machine.
//
// Source: Stockham's autosort transform, decimation in frequency.
type fft struct{ passes []fftPass }

// fftPass takes x[q + s·(p + m·t)], t < radix, to y[q + s·(radix·p + u)].
type fftPass struct {
	radix, m, s int
	twiddles    []float64 // (m, radix−1, 2): e^(−2πi·p·u / (radix·m)) for u from 1 on
}

// newFFT returns the transform of n complex values, or false for a length that
// has other factors.
func newFFT(n int) (fft, bool) {
	var f fft
	s := 1
	for n > 1 {
		radix := 0
		for _, r := range []int{5, 4, 2} {
			if n%r == 0 {
				radix = r
				break
			}
		}
		if radix == 0 {
			return fft{}, false
		}
		p := fftPass{radix: radix, m: n / radix, s: s}
		for i := range p.m {
			for u := 1; u < radix; u++ {
				sin, cos := math.Sincos(-2 * math.Pi * float64(i*u) / float64(n))
				p.twiddles = append(p.twiddles, steady(cos), steady(sin))
			}
		}
		f.passes = append(f.passes, p)
		n, s = p.m, s*radix
	}
	return f, true
}

// steady rounds x to 32 bits, for tables made of functions whose last bit may
// differ between machines.
func steady(x float64) float64 {
	return math.Float64frombits((math.Float64bits(x) + 1<<19) &^ (1<<20 - 1))
}

// run transforms x and returns the result, which lies in x or in y; the other is
// overwritten.
func (f *fft) run(x, y []float64) []float64 {
	for i := range f.passes {
		f.passes[i].run(y, x)
		x, y = y, x
	}
	return x
}

// Cosines and sines of 2π/5 and 4π/5.
const (
	cos1, cos2 = 0.30901699437494742410, -0.80901699437494742410
	sin1, sin2 = 0.95105651629515357212, 0.58778525229247312917
)

func (p *fftPass) runGo(y, x []float64) {
	size := complexLanes * p.s // from one p to the next
	for i := range p.m {
		w := p.twiddles[2*(p.radix-1)*i:]
		in, out := x[size*i:], y[size*p.radix*i:]
		for q := 0; q < size; q += complexLanes {
			for l := q; l < q+lanes; l++ {
				switch p.radix {
				case 5:
					butterfly5(out[l:], in[l:], w, size, size*p.m)
				case 4:
					butterfly4(out[l:], in[l:], w, size, size*p.m)
				default:
					butterfly2(out[l:], in[l:], w, size, size*p.m)
				}
			}
		}
	}
}

// butterfly5 transforms five values that lie from apart; results lie to apart.
func butterfly5(y, x, w []float64, to, from int) {
	var re, im [5]float64
	for t := range re {
		re[t], im[t] = x[t*from], x[t*from+lanes]
	}
	var mr, mi, sr, si [2]float64
	first := func(v *[5]float64, m, s *[2]float64) (sum float64) {
		a, b, c, d := v[1]+v[4], v[2]+v[3], v[1]-v[4], v[2]-v[3]
		m[0] = v[0] + float64(a*cos1) + float64(b*cos2)
		m[1] = v[0] + float64(a*cos2) + float64(b*cos1)
		s[0] = float64(c*sin1) + float64(d*sin2)
		s[1] = float64(c*sin2) - float64(d*sin1)
		return v[0] + (a + b)
	}
	y[0], y[lanes] = first(&re, &mr, &sr), first(&im, &mi, &si)
	turn(y[to:], w, mr[0]+si[0], mi[0]-sr[0])
	turn(y[2*to:], w[2:], mr[1]+si[1], mi[1]-sr[1])
	turn(y[3*to:], w[4:], mr[1]-si[1], mi[1]+sr[1])
	turn(y[4*to:], w[6:], mr[0]-si[0], mi[0]+sr[0])
}

func butterfly4(y, x, w []float64, to, from int) {
	ar, ai := x[0]+x[2*from], x[lanes]+x[2*from+lanes]
	br, bi := x[0]-x[2*from], x[lanes]-x[2*from+lanes]
	cr, ci := x[from]+x[3*from], x[from+lanes]+x[3*from+lanes]
	dr, di := x[from]-x[3*from], x[from+lanes]-x[3*from+lanes]
	y[0], y[lanes] = ar+cr, ai+ci
	turn(y[to:], w, br+di, bi-dr)
	turn(y[2*to:], w[2:], ar-cr, ai-ci)
	turn(y[3*to:], w[4:], br-di, bi+dr)
}

func butterfly2(y, x, w []float64, to, from int) {
	y[0], y[lanes] = x[0]+x[from], x[lanes]+x[from+lanes]
	turn(y[to:], w, x[0]-x[from], x[lanes]-x[from+lanes])
}

// turn sets y to re + i·im times the complex number w.
func turn(y, w []float64, re, im float64) {
	y[0] = float64(re*w[0]) - float64(im*w[1])
	y[lanes] = float64(re*w[1]) + float64(im*w[0])
}

// power sets p (n + 1, lanes) to four times the squared magnitudes of the
// spectrum of 2·n real values, from the transform z (n, 2, lanes) of the complex
// values that have every second one as imaginary part. w (n/2, 2) holds
// e^(−πi·k/n) for k from 1 on.
func powerGo(p, z, w []float64, n int) {
	for l := range lanes {
		sum, difference := z[l]+z[lanes+l], z[l]-z[lanes+l]
		p[l] = 4 * float64(sum*sum)
		p[lanes*n+l] = 4 * float64(difference*difference)
		for k := 1; 2*k <= n; k++ {
			a, b := z[complexLanes*k+l:], z[complexLanes*(n-k)+l:]
			er, ei := a[0]+b[0], a[lanes]-b[lanes] // of the even values
			or, oi := a[lanes]+b[lanes], b[0]-a[0] // of the odd ones
			tr := float64(or*w[2*k-2]) - float64(oi*w[2*k-1])
			ti := float64(or*w[2*k-1]) + float64(oi*w[2*k-2])
			xr, xi, yr, yi := er+tr, ei+ti, er-tr, ei-ti
			p[lanes*k+l] = float64(xr*xr) + float64(xi*xi)
			p[lanes*(n-k)+l] = float64(yr*yr) + float64(yi*yi)
		}
	}
}
