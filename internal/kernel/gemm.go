package kernel

// GemmArgs describes C = epilogue(op(A)·op(B)) or C += epilogue(op(A)·op(B)).
// Matrices are row-major; LDA and so on are elements between rows.
//
//	A         (M, K), or (K, M) with TransA
//	B         (K, N), or (N, K) with TransB
//	C         (M, N)  set, or added to with Accumulate
//	Bias      (N)     optional: added to the product
//	Pre       (M, N)  optional: set to product + bias
//	GELU              C = gelu(product + bias)
//	DGELU     (M, N)  optional: the product is multiplied by gelu′ of it;
//	                  not together with Bias, Pre or GELU
//	Residual  (M, N)  optional: added last; may be C itself with the same LD
//
// No other operand may overlap C or Pre.
type GemmArgs struct {
	M, N, K int

	A      []float32
	LDA    int
	TransA bool

	B      []float32
	LDB    int
	TransB bool

	C          []float32
	LDC        int
	Accumulate bool

	Bias     []float32
	Pre      []float32
	LDPre    int
	GELU     bool
	Residual []float32
	LDR      int
	DGELU    []float32
	LDD      int
}

// Gemm multiplies matrices on a pool. It owns the packing buffers, which grow
// to the largest product done; use one Gemm from one goroutine at a time.
type Gemm struct {
	pool *Pool
}

// NewGemm returns a multiplier that runs on pool.
func NewGemm(pool *Pool) *Gemm { return &Gemm{pool: pool} }

// Do multiplies. It returns when C is complete.
func (g *Gemm) Do(a *GemmArgs) {
	for i := range a.M {
		for j := range a.N {
			var s float32
			for k := range a.K {
				s += a.at(i, k) * a.bt(k, j)
			}
			if a.Bias != nil {
				s += a.Bias[j]
			}
			if a.Pre != nil {
				a.Pre[i*a.LDPre+j] = s
			}
			if a.GELU {
				s, _ = geluScalar(s)
			}
			if a.DGELU != nil {
				_, d := geluScalar(a.DGELU[i*a.LDD+j])
				s *= d
			}
			if a.Residual != nil {
				s += a.Residual[i*a.LDR+j]
			}
			if a.Accumulate {
				s += a.C[i*a.LDC+j]
			}
			a.C[i*a.LDC+j] = s
		}
	}
}

func (a *GemmArgs) at(i, k int) float32 {
	if a.TransA {
		return a.A[k*a.LDA+i]
	}
	return a.A[i*a.LDA+k]
}

func (a *GemmArgs) bt(k, j int) float32 {
	if a.TransB {
		return a.B[j*a.LDB+k]
	}
	return a.B[k*a.LDB+j]
}
