package kernel

// gemmPacking packs one panel of op(B) into the shared memory: there it lies
// block of K after block, in each panel after panel.
type gemmPacking struct{ g *Gemm }

func (t *gemmPacking) Run(_, i int) {
	p := &t.g.plan
	panels := (p.jHi - p.jLo + p.nr - 1) / p.nr
	j := i * p.nr
	for k := p.kLo; k == p.kLo || k < p.kHi; k += p.kc {
		kc := min(p.kc, p.kHi-k)
		packB(t.g.bPack[(k-p.kLo)*panels*p.nr+j*kc:], p.nr, p.args.B, p.args.LDB, p.args.TransB,
			k, kc, p.jLo+j, min(p.nr, p.jHi-p.jLo-j))
	}
}

// gemmBlocks multiplies one block of rows by one block of columns.
type gemmBlocks struct{ g *Gemm }

func (t *gemmBlocks) Run(worker, i int) {
	p := &t.g.plan
	r, c := i/p.colBlocks, i%p.colBlocks
	j := p.jLo + c*p.colBlock
	jHi := min(j+p.colBlock, p.jHi)
	if j >= jHi {
		return
	}
	t.g.block(worker, r*p.mc, min((r+1)*p.mc, p.args.M), j, jHi)
}

// block computes rows i…iHi−1, columns j…jHi−1 of the product over the present
// part of K.
func (g *Gemm) block(worker, i, iHi, j, jHi int) {
	p, w := &g.plan, &g.workers[worker]
	for kb := range p.kBlocks(p.kHi - p.kLo) {
		k := p.kLo + kb*p.kc
		kc := min(p.kc, p.kHi-k)
		b := w.b
		if p.shared {
			panels := (p.jHi - p.jLo + p.nr - 1) / p.nr
			b = g.bPack[kb*panels*p.nr*p.kc+(j-p.jLo)*kc:]
		} else {
			for c := j; c < jHi; c += p.nr {
				packB(b[(c-j)*kc:], p.nr, p.args.B, p.args.LDB, p.args.TransB, k, kc, c,
					min(p.nr, jHi-c))
			}
		}
		call := &w.call
		p.operandA(call, w.a, i, iHi, k, kc)
		call.ldc, call.ldd, call.d, call.bias = p.ldt, p.ldt, nil, nil
		for lo := j; lo < jHi; lo += gemmGroup {
			hi := min(lo+gemmGroup, jHi)
			for c := lo; c < hi; c += p.nr {
				call.cols = min(p.nr, hi-c)
				call.b = b[(c-j)*kc:]
				call.next = nil
				if after := (c - j + p.nr) * kc; after < len(b) {
					call.next = b[after:]
				}
				call.c = p.t[i*p.ldt+c:]
				if k > 0 {
					call.d = call.c
				} else {
					p.firstBlock(call, i, c)
				}
				call.mul()
			}
			if p.epilogue && k+kc >= p.args.K {
				p.finish(w.row, i, iHi, lo, hi)
			}
		}
	}
	w.call = panel{}
}

// operandA sets the part of a call that tells of rows i…iHi−1, columns
// k…k+kc−1 of op(A), and packs them into buf if that pays.
func (p *gemmPlan) operandA(call *panel, buf []float32, i, iHi, k, kc int) {
	a := &p.args
	call.rows, call.kc = iHi-i, kc
	switch {
	case kc == 0:
		call.a, call.rs, call.cs, call.pa = buf, 0, 0, 0
	case !p.aDirect:
		packA(buf, p.mr, a.A, a.LDA, a.TransA, i, iHi-i, a.M, k, kc)
		w := packedRows(p.mr)
		call.a, call.rs, call.cs, call.pa = buf, 1, w, w*kc
	case a.TransA:
		call.a, call.rs, call.cs, call.pa = a.A[k*a.LDA+i:], 1, a.LDA, p.mr
	default:
		call.a, call.rs, call.cs, call.pa = a.A[i*a.LDA+k:], a.LDA, 1, p.mr*a.LDA
	}
}

// firstBlock sets what is added to the product over the first block of K.
func (p *gemmPlan) firstBlock(call *panel, i, j int) {
	if p.d != nil {
		call.d, call.ldd = p.d[i*p.ldd+j:], p.ldd
	}
	if p.args.Bias != nil {
		call.bias = p.args.Bias[j:]
	}
}

// gemmKParts multiplies over one part of K into a matrix of its own.
type gemmKParts struct{ g *Gemm }

func (t *gemmKParts) Run(worker, part int) {
	g := t.g
	p, w := &g.plan, &g.workers[worker]
	a := &p.args
	c := g.parts[part*a.M*a.N:][:a.M*a.N]
	kLo, kHi := part*p.kPart, min((part+1)*p.kPart, a.K)
	call := &w.call
	call.ldc, call.ldd, call.bias = a.N, a.N, nil
	for k := kLo; k < kHi; k += p.kc {
		kc := min(p.kc, kHi-k)
		for j := 0; j < a.N; j += p.nr {
			packB(w.b[j*kc:], p.nr, a.B, a.LDB, a.TransB, k, kc, j, min(p.nr, a.N-j))
		}
		for i := 0; i < a.M; i += p.mc {
			p.operandA(call, w.a, i, min(i+p.mc, a.M), k, kc)
			for j := 0; j < a.N; j += p.nr {
				call.cols = min(p.nr, a.N-j)
				call.b, call.c, call.d = w.b[j*kc:], c[i*a.N+j:], nil
				if k > kLo {
					call.d = call.c
				}
				call.mul()
			}
		}
	}
	w.call = panel{}
}

// reductionRows is how many rows one part of a reduction adds.
const reductionRows = 16

func (p *gemmPlan) reductions() int { return (p.args.M + reductionRows - 1) / reductionRows }

// gemmReduction adds the products of the parts of K, in order, to some rows.
type gemmReduction struct{ g *Gemm }

func (t *gemmReduction) Run(_, i int) {
	p := &t.g.plan
	a := &p.args
	for r := i * reductionRows; r < min((i+1)*reductionRows, a.M); r++ {
		c := a.C[r*a.LDC:][:a.N]
		if !a.Accumulate {
			clear(c)
		}
		for part := range p.kParts {
			Axpy(c, t.g.parts[(part*a.M+r)*a.N:][:a.N], 1)
		}
	}
}
