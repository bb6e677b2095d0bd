package kernel

import "math"

// LayerNormRow sets y to the row x with zero mean and unit variance, scaled by
// gain and shifted by bias, and returns the mean and 1/√(variance + eps).
//
//	y, x        (D)  y may be x
//	gain, bias  (D)
//
// Source: Ba, Kiros & Hinton 2016 (arXiv:1607.06450), eq. 3-4.
func LayerNormRow(y, x, gain, bias []float32, eps float32) (mean, rstd float32) {
	d := len(x)
	y, gain, bias = y[:d], gain[:d], bias[:d]
	if d > 0 && isa >= AVX2 {
		var stat [2]float32
		if isa == AVX512 {
			layerNormAVX512(&y[0], &x[0], &gain[0], &bias[0], d, 1/float32(d), eps, &stat[0])
		} else {
			layerNormAVX2(&y[0], &x[0], &gain[0], &bias[0], d, 1/float32(d), eps, &stat[0])
		}
		return stat[0], stat[1]
	}
	var sum, sq float64
	for _, v := range x {
		sum += float64(v)
	}
	m := sum / float64(d)
	for _, v := range x {
		sq += (float64(v) - m) * (float64(v) - m)
	}
	mean = float32(m)
	rstd = float32(1 / math.Sqrt(sq/float64(d)+float64(eps)))
	for i, v := range x {
		y[i] = (v-mean)*rstd*gain[i] + bias[i]
	}
	return mean, rstd
}

// LayerNormBackwardRow is the backward of LayerNormRow: with
// x̂ = (x − mean)·rstd and g = dy·gain,
//
//	dx    = rstd·(g − mean(g) − x̂·mean(g·x̂))
//	dgain += dy·x̂
//	dbias += dy
//
// dx is set, or added to when add; it may be dy when it is set.
func LayerNormBackwardRow(dx, dgain, dbias, dy, x, gain []float32, mean, rstd float32, add bool) {
	d := len(x)
	dx, dgain, dbias, dy, gain = dx[:d], dgain[:d], dbias[:d], dy[:d], gain[:d]
	if d > 0 && isa >= AVX2 {
		adding := 0
		if add {
			adding = 1
		}
		if isa == AVX512 {
			layerNormBackwardAVX512(&dx[0], &dgain[0], &dbias[0], &dy[0], &x[0], &gain[0], d,
				1/float32(d), mean, rstd, adding)
		} else {
			layerNormBackwardAVX2(&dx[0], &dgain[0], &dbias[0], &dy[0], &x[0], &gain[0], d,
				1/float32(d), mean, rstd, adding)
		}
		return
	}
	var sumG, sumGX float64
	for i, v := range x {
		xh := (v - mean) * rstd
		g := float32(dy[i] * gain[i])
		sumG += float64(g)
		sumGX += float64(g * xh)
	}
	meanG, meanGX := float32(sumG/float64(d)), float32(sumGX/float64(d))
	for i, v := range x {
		xh := (v - mean) * rstd
		dgain[i] += dy[i] * xh
		dbias[i] += dy[i]
		// Rounded as above, where a fused multiply-add would differ: in a row of
		// one feature the gradient is 0.
		r := rstd * (float32(dy[i]*gain[i]) - meanG - xh*meanGX)
		if add {
			r += dx[i]
		}
		dx[i] = r
	}
}
