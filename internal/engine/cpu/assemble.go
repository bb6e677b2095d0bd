package cpu

import (
	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// assembleTask builds sequences. A part is some tokens.
type assembleTask struct {
	y     matrix // (B·N, D)
	cls   []float32
	n     int         // tokens of a sequence
	side  [2]modality // video, audio
	zeros []float32   // (D): the products of an absent modality
}

// modality is the tokens of video or audio, each with an outer and an inner
// position. It is the zero value when none of them are in the sequence.
type modality struct {
	x            matrix    // (B·outer·inner, D), zero when absent
	table        []float32 // (outer, D): outer position + bias + type
	innerPos     matrix
	outer, inner int
}

func (s *modality) tokens() int { return s.outer * s.inner }

// AssembleTokens builds the sequences [CLS; video; audio].
func (e *Engine) AssembleTokens(a engine.AssembleArgs) {
	a.Check()
	d := a.Y.Cols()
	t := &e.assembleTask
	*t = assembleTask{y: mat(a.Y), cls: vec(a.CLS), n: a.Y.Dim(1)}
	video := present(a.Video, a.VideoTime, a.Drop)
	audio := present(a.Audio, a.AudioFreq, a.Drop)
	rows := 1
	if video {
		rows += a.VideoTime.Rows()
	}
	if audio {
		rows += a.AudioFreq.Rows()
	}
	s := e.floats(rows * d)
	t.zeros, s = s[:d], s[d:]
	clear(t.zeros)
	if video {
		t.side[0] = newModality(s, a.Video, a.VideoBias, a.VideoType, a.VideoTime, a.VideoSpace)
		s = s[a.VideoTime.Elems():]
	}
	if audio {
		t.side[1] = newModality(s, a.Audio, a.AudioBias, a.AudioType, a.AudioFreq, a.AudioTime)
	}
	e.pool.Run(t, parts(t.y.rows, rowsPerPart(d)))
}

// present reports whether a modality has tokens in the sequences.
func present(x, outerPos engine.Tensor, drop bool) bool {
	return !outerPos.Nil() && !(drop && x.Nil())
}

// newModality fills table, at the start of scratch.
func newModality(scratch []float32, x, bias, kind, outerPos, innerPos engine.Tensor) modality {
	s := modality{x: mat(x), innerPos: mat(innerPos), outer: outerPos.Rows(),
		inner: innerPos.Rows(), table: scratch[:outerPos.Elems()]}
	p := mat(outerPos)
	for r := range p.rows {
		row := s.table[r*p.cols:][:p.cols]
		copy(row, p.row(r))
		kernel.Axpy(row, vec(bias), 1)
		if !kind.Nil() {
			kernel.Axpy(row, vec(kind), 1)
		}
	}
	return s
}

func (t *assembleTask) Run(_, i int) {
	d := t.y.cols
	lo, hi := part(i, rowsPerPart(d), t.y.rows)
	for r := lo; r < hi; r++ {
		b, k := r/t.n, r%t.n-1
		if k < 0 {
			copy(t.y.row(r), t.cls)
			continue
		}
		s := &t.side[0]
		if k >= s.tokens() {
			k -= s.tokens()
			s = &t.side[1]
		}
		x := t.zeros
		if s.x.data != nil {
			x = s.x.row(b*s.tokens() + k)
		}
		kernel.Add3(t.y.row(r), x, s.table[k/s.inner*d:][:d], s.innerPos.row(k%s.inner))
	}
}

// AssembleTokensBackward hands dy to all operands. First every (sequence, outer
// position) sums its tokens and copies them to dVideo or dAudio; then every
// position gathers its sums; bias and type get the sum over outer positions.
func (e *Engine) AssembleTokensBackward(a engine.AssembleBackwardArgs) {
	a.Check()
	dy := mat(a.DY)
	b, n, d := a.DY.Dim(0), a.DY.Dim(1), dy.cols
	var side [2]modalityGrad
	start := 1
	if present(a.DVideo, a.DVideoTime, a.Drop) {
		side[0] = modalityGrad{start: start, outer: a.DVideoTime.Rows(),
			inner: a.DVideoSpace.Rows(), dx: mat(a.DVideo), dOuter: mat(a.DVideoTime),
			dInner: mat(a.DVideoSpace), dBias: vec(a.DVideoBias), dKind: vec(a.DVideoType)}
		start += side[0].outer * side[0].inner
	}
	if present(a.DAudio, a.DAudioFreq, a.Drop) {
		side[1] = modalityGrad{start: start, outer: a.DAudioFreq.Rows(),
			inner: a.DAudioTime.Rows(), dx: mat(a.DAudio), dOuter: mat(a.DAudioFreq),
			dInner: mat(a.DAudioTime), dBias: vec(a.DAudioBias), dKind: vec(a.DAudioType)}
	}
	s := e.floats((side[0].outer + side[1].outer) * (b + 1) * d)
	for i := range side {
		g := &side[i]
		g.sums, s = s[:b*g.outer*d], s[b*g.outer*d:]
		g.totals, s = s[:g.outer*d], s[g.outer*d:]
	}
	kernel.AddColumns(vec(a.DCLS), dy.data, b, n*d)
	t := &e.tokenSumTask
	*t = tokenSumTask{dy: dy, b: b, n: n, side: side}
	e.pool.Run(t, b*(side[0].outer+side[1].outer))
	p := &e.positionTask
	*p = positionTask(*t)
	e.pool.Run(p, side[0].outer+side[0].inner+side[1].outer+side[1].inner)
	for i := range side {
		g := &side[i]
		kernel.AddColumns(g.dBias, g.totals, g.outer, d)
		kernel.AddColumns(g.dKind, g.totals, g.outer, d)
	}
}

// modalityGrad holds the gradients of one modality.
type modalityGrad struct {
	start, outer, inner int       // start is the first of its tokens
	dx                  matrix    // zero when absent
	dOuter, dInner      matrix    // (outer, D), (inner, D)
	dBias, dKind        []float32 // (D); dKind may be nil
	sums                []float32 // (B, outer, D)
	totals              []float32 // (outer, D): sums over B
}

type tokenSumTask struct {
	dy   matrix
	b, n int
	side [2]modalityGrad
}

func (t *tokenSumTask) Run(_, i int) {
	g := &t.side[0]
	if i >= t.b*g.outer {
		i -= t.b * g.outer
		g = &t.side[1]
	}
	d := t.dy.cols
	b, o := i/g.outer, i%g.outer
	dy := t.dy.data[(b*t.n+g.start+o*g.inner)*d:][:g.inner*d]
	s := g.sums[i*d:][:d]
	clear(s)
	kernel.AddColumns(s, dy, g.inner, d)
	if g.dx.data != nil {
		copy(g.dx.data[i*g.inner*d:], dy)
	}
}

type positionTask tokenSumTask

func (t *positionTask) Run(_, i int) {
	g := &t.side[0]
	if i >= g.outer+g.inner {
		i -= g.outer + g.inner
		g = &t.side[1]
	}
	d := t.dy.cols
	if i < g.outer {
		total := g.totals[i*d:][:d]
		clear(total)
		kernel.AddColumns(total, g.sums[i*d:], t.b, g.outer*d)
		kernel.Axpy(g.dOuter.row(i), total, 1)
		return
	}
	i -= g.outer
	for b := range t.b {
		kernel.AddColumns(g.dInner.row(i), t.dy.data[(b*t.n+g.start+i)*d:], g.outer, g.inner*d)
	}
}
