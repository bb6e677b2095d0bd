package ref

import "avjepa/internal/engine"

// PatchifyVideo copies tubelet (i, j, l) of clip b to the row of that token:
// channel, frame, row, column.
func (e *Engine) PatchifyVideo(a engine.PatchifyVideoArgs) {
	a.Check()
	x := e.load(a.X)
	_, c, t, h, w := a.Dims()
	frames := a.X.DType() == engine.U8
	pixel := func(b, ci, ti, hi, wi int) float64 {
		if frames {
			v := x[(((b*t+ti)*h+hi)*w+wi)*c+ci] / 255
			return (v - float64(a.Mean[ci])) / float64(a.Std[ci])
		}
		return x[(((b*c+ci)*t+ti)*h+hi)*w+wi]
	}
	y := make([]float64, 0, a.Y.Elems())
	for token := range a.Y.Rows() {
		nh, nw := h/a.P, w/a.P
		col, row := token%nw, token/nw%nh
		time, b := token/(nw*nh)%(t/a.PatchT), token/(nw*nh*(t/a.PatchT))
		for i := range a.Y.Cols() { // i counts (channel, frame, row, column)
			y = append(y, pixel(b, i/(a.P*a.P*a.PatchT),
				time*a.PatchT+i/(a.P*a.P)%a.PatchT, row*a.P+i/a.P%a.P, col*a.P+i%a.P))
		}
	}
	e.store(a.Y, y)
}

// PatchifyAudio copies patch (f, t) of clip b to the row of that token: band,
// frame.
func (e *Engine) PatchifyAudio(a engine.PatchifyAudioArgs) {
	a.Check()
	x := e.load(a.X)
	bands, frames := a.X.Dim(1), a.X.Dim(2)
	nf, nt := bands/a.PF, frames/a.PT
	y := make([]float64, 0, a.Y.Elems())
	for token := range a.Y.Rows() {
		t, f, b := token%nt, token/nt%nf, token/(nt*nf)
		for i := range a.Y.Cols() {
			y = append(y, x[(b*bands+f*a.PF+i/a.PT)*frames+t*a.PT+i%a.PT])
		}
	}
	e.store(a.Y, y)
}

// AssembleTokens: token 0 is CLS, a token of a modality is
// product + bias + first position + second position + type.
func (e *Engine) AssembleTokens(a engine.AssembleArgs) {
	a.Check()
	batch, n, d := a.Y.Dim(0), a.Y.Dim(1), a.Y.Dim(2)
	y, cls := make([]float64, batch*n*d), e.load(a.CLS)
	at := func(b, token int) []float64 { return y[(b*n+token)*d:][:d] }
	for b := range batch {
		copy(at(b, 0), cls)
	}
	start := 1
	modality := func(products, bias, kind, p1, p2 engine.Tensor) {
		if p1.Nil() || products.Nil() && a.Drop {
			return
		}
		x, c, k, u, v := e.load(products), e.load(bias), e.load(kind), e.load(p1), e.load(p2)
		n1, n2 := p1.Rows(), p2.Rows()
		for b := range batch {
			for t := range n1 * n2 {
				row := at(b, start+t)
				if x != nil {
					axpy(row, 1, x[(b*n1*n2+t)*d:][:d])
				}
				axpy(row, 1, c)
				axpy(row, 1, u[t/n2*d:][:d])
				axpy(row, 1, v[t%n2*d:][:d])
				if k != nil {
					axpy(row, 1, k)
				}
			}
		}
		start += n1 * n2
	}
	modality(a.Video, a.VideoBias, a.VideoType, a.VideoTime, a.VideoSpace)
	modality(a.Audio, a.AudioBias, a.AudioType, a.AudioFreq, a.AudioTime)
	e.store(a.Y, y)
}

// AssembleTokensBackward: the gradient of a token goes to each of its summands.
func (e *Engine) AssembleTokensBackward(a engine.AssembleBackwardArgs) {
	a.Check()
	batch, n, d := a.DY.Dim(0), a.DY.Dim(1), a.DY.Dim(2)
	dy, dcls := e.load(a.DY), make([]float64, d)
	at := func(b, token int) []float64 { return dy[(b*n+token)*d:][:d] }
	for b := range batch {
		axpy(dcls, 1, at(b, 0))
	}
	e.add(a.DCLS, dcls)
	start := 1
	modality := func(products, bias, kind, p1, p2 engine.Tensor) {
		if p1.Nil() || products.Nil() && a.Drop {
			return
		}
		n1, n2 := p1.Rows(), p2.Rows()
		dx, dc := make([]float64, 0, batch*n1*n2*d), make([]float64, d)
		du, dv := make([]float64, n1*d), make([]float64, n2*d)
		for b := range batch {
			for t := range n1 * n2 {
				row := at(b, start+t)
				dx = append(dx, row...)
				axpy(dc, 1, row)
				axpy(du[t/n2*d:][:d], 1, row)
				axpy(dv[t%n2*d:][:d], 1, row)
			}
		}
		e.store(products, dx)
		e.add(bias, dc)
		e.add(kind, dc)
		e.add(p1, du)
		e.add(p2, dv)
		start += n1 * n2
	}
	modality(a.DVideo, a.DVideoBias, a.DVideoType, a.DVideoTime, a.DVideoSpace)
	modality(a.DAudio, a.DAudioBias, a.DAudioType, a.DAudioFreq, a.DAudioTime)
}
