package engine

import "avjepa/internal/rng"

// CheckUpload panics unless dst is contiguous F32 and src has its length.
func CheckUpload(dst Tensor, src []float32) {
	o := op("Upload")
	o.float32s("dst", dst)
	if len(src) != dst.Elems() {
		o.fail("src has %d values but dst is %v", len(src), dst.shape)
	}
}

// CheckUploadBytes panics unless dst is contiguous U8 and src has its length.
func CheckUploadBytes(dst Tensor, src []byte) {
	o := op("UploadBytes")
	if dst.Nil() || dst.DType() != U8 {
		o.fail("dst is %v, want u8", dst)
	}
	o.contiguous("dst", dst)
	if len(src) != dst.Elems() {
		o.fail("src has %d bytes but dst is %v", len(src), dst.shape)
	}
}

// CheckDownload panics unless src is F32 and dst has its length.
func CheckDownload(dst []float32, src Tensor) {
	o := op("Download")
	o.float32Type("src", src)
	if len(dst) != src.Elems() {
		o.fail("dst has %d values but src is %v", len(dst), src.shape)
	}
}

// CheckCopy panics unless dst and src have one shape and type and lie apart.
func CheckCopy(dst, src Tensor) {
	o := op("Copy")
	if dst.Nil() || src.Nil() {
		o.fail("dst is %v, src is %v", dst, src)
	}
	o.sameType("dst", dst, "src", src)
	o.sameShape("dst", dst, "src", src)
	o.apart("dst", dst, "src", src)
}

// CheckCast panics unless dst and src have one shape, are F32 or BF16 each and lie
// apart.
func CheckCast(dst, src Tensor) {
	o := op("Cast")
	o.strided("dst", dst)
	o.strided("src", src)
	o.sameShape("dst", dst, "src", src)
	o.apart("dst", dst, "src", src)
}

// CheckFill panics unless dst is F32.
func CheckFill(dst Tensor) { op("Fill").float32Type("dst", dst) }

// Check panics unless the operands fit.
func (a LinearArgs) Check() {
	o := op("Linear")
	o.strided("X", a.X)
	o.strided("Y", a.Y)
	o.float32s("W", a.W)
	o.agree(a.X.Cols(), a.W.Cols(), "X", a.X, "W", a.W, "inner dimensions")
	o.agree(a.Y.Rows(), a.X.Rows(), "Y", a.Y, "X", a.X, "rows")
	o.agree(a.Y.Cols(), a.W.Rows(), "Y", a.Y, "W", a.W, "output dimensions")
	o.vectorOrNil("Bias", a.Bias, a.W.Rows(), "W", a.W)
	if !a.Residual.Nil() {
		o.strided("Residual", a.Residual)
		o.alike("Residual", a.Residual, "Y", a.Y)
	}
	if !a.Pre.Nil() {
		o.strided("Pre", a.Pre)
		o.alike("Pre", a.Pre, "Y", a.Y)
		if !a.GELU {
			o.fail("Pre is given without GELU")
		}
	}
	o.apartOrSame("Y", a.Y, "Residual", a.Residual)
	o.apart("Y", a.Y, "X", a.X)
	o.apart("Y", a.Y, "W", a.W)
	o.apart("Y", a.Y, "Bias", a.Bias)
	o.apart("Y", a.Y, "Pre", a.Pre)
	o.apart("Pre", a.Pre, "X", a.X)
	o.apart("Pre", a.Pre, "W", a.W)
	o.apart("Pre", a.Pre, "Bias", a.Bias)
	o.apart("Pre", a.Pre, "Residual", a.Residual)
}

// Check panics unless the operands fit.
func (a LinearInputArgs) Check() {
	o := op("LinearInput")
	o.strided("DX", a.DX)
	o.strided("DY", a.DY)
	o.float32s("W", a.W)
	o.agree(a.DY.Cols(), a.W.Rows(), "DY", a.DY, "W", a.W, "inner dimensions")
	o.agree(a.DX.Rows(), a.DY.Rows(), "DX", a.DX, "DY", a.DY, "rows")
	o.agree(a.DX.Cols(), a.W.Cols(), "DX", a.DX, "W", a.W, "input dimensions")
	if !a.Pre.Nil() {
		o.strided("Pre", a.Pre)
		o.alike("Pre", a.Pre, "DX", a.DX)
	}
	if !a.Act.Nil() {
		o.strided("Act", a.Act)
		o.alike("Act", a.Act, "DX", a.DX)
		if a.Pre.Nil() {
			o.fail("Act is given without Pre")
		}
		o.apartOrSame("Act", a.Act, "Pre", a.Pre)
		o.apart("Act", a.Act, "DX", a.DX)
		o.apart("Act", a.Act, "DY", a.DY)
		o.apart("Act", a.Act, "W", a.W)
	}
	o.apart("DX", a.DX, "DY", a.DY)
	o.apart("DX", a.DX, "W", a.W)
	o.apart("DX", a.DX, "Pre", a.Pre)
}

// Check panics unless the operands fit.
func (a LinearWeightArgs) Check() {
	o := op("LinearWeight")
	o.float32s("DW", a.DW)
	o.strided("DY", a.DY)
	o.strided("X", a.X)
	o.agree(a.DY.Rows(), a.X.Rows(), "DY", a.DY, "X", a.X, "rows")
	o.agree(a.DW.Rows(), a.DY.Cols(), "DW", a.DW, "DY", a.DY, "output dimensions")
	o.agree(a.DW.Cols(), a.X.Cols(), "DW", a.DW, "X", a.X, "input dimensions")
	o.vectorOrNil("DBias", a.DBias, a.DW.Rows(), "DW", a.DW)
	o.apart("DW", a.DW, "DY", a.DY)
	o.apart("DW", a.DW, "X", a.X)
	o.apart("DW", a.DW, "DBias", a.DBias)
	o.apart("DBias", a.DBias, "DY", a.DY)
	o.apart("DBias", a.DBias, "X", a.X)
}

// Check panics unless the operands fit.
func (a LayerNormArgs) Check() {
	o := op("LayerNorm")
	o.strided("X", a.X)
	o.strided("Y", a.Y)
	o.alike("Y", a.Y, "X", a.X)
	if a.Mean.Nil() != a.RStd.Nil() {
		o.fail("Mean is %v but RStd is %v: give both or none", a.Mean, a.RStd)
	}
	o.vectorOrNil("Mean", a.Mean, a.X.Rows(), "X", a.X)
	o.vectorOrNil("RStd", a.RStd, a.X.Rows(), "X", a.X)
	o.vector("Gain", a.Gain, a.X.Cols(), "X", a.X)
	o.vector("Bias", a.Bias, a.X.Cols(), "X", a.X)
	o.atLeast("Eps", a.Eps, 0)
	o.apartOrSame("Y", a.Y, "X", a.X)
	o.apart("Mean", a.Mean, "RStd", a.RStd)
	for _, out := range [...]Tensor{a.Y, a.Mean, a.RStd} {
		o.apart("output", out, "Gain", a.Gain)
		o.apart("output", out, "Bias", a.Bias)
	}
	o.apart("Mean", a.Mean, "X", a.X)
	o.apart("RStd", a.RStd, "X", a.X)
	o.apart("Y", a.Y, "Mean", a.Mean)
	o.apart("Y", a.Y, "RStd", a.RStd)
}

// Check panics unless the operands fit.
func (a LayerNormBackwardArgs) Check() {
	o := op("LayerNormBackward")
	o.dense("DX", a.DX)
	o.dense("DY", a.DY)
	o.dense("X", a.X)
	o.alike("DX", a.DX, "X", a.X)
	o.alike("DY", a.DY, "X", a.X)
	o.vector("Mean", a.Mean, a.X.Rows(), "X", a.X)
	o.vector("RStd", a.RStd, a.X.Rows(), "X", a.X)
	o.vector("Gain", a.Gain, a.X.Cols(), "X", a.X)
	o.vector("DGain", a.DGain, a.X.Cols(), "X", a.X)
	o.vector("DBias", a.DBias, a.X.Cols(), "X", a.X)
	if a.Mode == Set {
		o.apartOrSame("DX", a.DX, "DY", a.DY)
	} else {
		o.apart("DX", a.DX, "DY", a.DY)
	}
	o.apart("DX", a.DX, "DGain", a.DGain)
	o.apart("DX", a.DX, "DBias", a.DBias)
	o.apart("DGain", a.DGain, "DBias", a.DBias)
	for _, out := range [...]Tensor{a.DX, a.DGain, a.DBias} {
		o.apart("output", out, "X", a.X)
		o.apart("output", out, "Mean", a.Mean)
		o.apart("output", out, "RStd", a.RStd)
		o.apart("output", out, "Gain", a.Gain)
	}
	o.apart("DGain", a.DGain, "DY", a.DY)
	o.apart("DBias", a.DBias, "DY", a.DY)
}

// Check panics unless the operands fit.
func (a BatchNormArgs) Check() {
	o := op("BatchNorm")
	o.float32s("X", a.X)
	o.float32s("Y", a.Y)
	o.alike("Y", a.Y, "X", a.X)
	c := a.X.Cols()
	o.vector("Gain", a.Gain, c, "X", a.X)
	o.vector("Bias", a.Bias, c, "X", a.X)
	o.vector("RunMean", a.RunMean, c, "X", a.X)
	o.vector("RunVar", a.RunVar, c, "X", a.X)
	if a.Train {
		o.vector("Mean", a.Mean, c, "X", a.X)
		o.vector("RStd", a.RStd, c, "X", a.X)
		if rows := a.X.Rows() * groupSize(a.Group); rows < 2 {
			o.fail("X is %v: training needs two rows or more", a.X.shape)
		}
	}
	if !a.Pre.Nil() {
		o.float32s("Pre", a.Pre)
		o.alike("Pre", a.Pre, "X", a.X)
		if !a.GELU {
			o.fail("Pre is given without GELU")
		}
	}
	o.atLeast("Eps", a.Eps, 0)
	o.apart("Y", a.Y, "Pre", a.Pre)
	o.apart("Mean", a.Mean, "RStd", a.RStd)
	o.apart("RunMean", a.RunMean, "RunVar", a.RunVar)
	for _, out := range [...]Tensor{a.Y, a.Pre, a.Mean, a.RStd} {
		o.apart("output", out, "X", a.X)
		o.apart("output", out, "Gain", a.Gain)
		o.apart("output", out, "Bias", a.Bias)
		o.apart("output", out, "RunMean", a.RunMean)
		o.apart("output", out, "RunVar", a.RunVar)
	}
	for _, stat := range [...]Tensor{a.Mean, a.RStd} {
		o.apart("Y", a.Y, "statistic", stat)
		o.apart("Pre", a.Pre, "statistic", stat)
	}
}

// Check panics unless the operands fit.
func (a BatchNormBackwardArgs) Check() {
	o := op("BatchNormBackward")
	o.float32s("DX", a.DX)
	o.float32s("DY", a.DY)
	o.float32s("X", a.X)
	o.alike("DX", a.DX, "X", a.X)
	o.alike("DY", a.DY, "X", a.X)
	c := a.X.Cols()
	o.vector("Mean", a.Mean, c, "X", a.X)
	o.vector("RStd", a.RStd, c, "X", a.X)
	o.vector("Gain", a.Gain, c, "X", a.X)
	o.vector("DGain", a.DGain, c, "X", a.X)
	o.vector("DBias", a.DBias, c, "X", a.X)
	o.apartOrSame("DX", a.DX, "DY", a.DY)
	o.apart("DGain", a.DGain, "DY", a.DY)
	o.apart("DBias", a.DBias, "DY", a.DY)
	o.apart("DX", a.DX, "DGain", a.DGain)
	o.apart("DX", a.DX, "DBias", a.DBias)
	o.apart("DGain", a.DGain, "DBias", a.DBias)
	if a.Group != nil {
		o.float32s("Means", a.Means)
		if a.Means.Rows() != 2 || a.Means.Cols() != c {
			o.fail("Means is %v, want (2, %d)", a.Means.shape, c)
		}
	}
	for _, out := range [...]Tensor{a.DX, a.DGain, a.DBias, a.Means} {
		o.apart("output", out, "X", a.X)
		o.apart("output", out, "Mean", a.Mean)
		o.apart("output", out, "RStd", a.RStd)
		o.apart("output", out, "Gain", a.Gain)
	}
	for _, other := range [...]Tensor{a.DX, a.DY, a.DGain, a.DBias} {
		o.apart("Means", a.Means, "operand", other)
	}
}

// CheckGELU panics unless y and x have one shape and are the same or apart.
func CheckGELU(y, x Tensor) {
	o := op("GELU")
	o.strided("y", y)
	o.strided("x", x)
	o.alike("y", y, "x", x)
	o.apartOrSame("y", y, "x", x)
}

// CheckGELUBackward panics unless the three have one shape and dx is dy or
// apart from both others.
func CheckGELUBackward(dx, dy, x Tensor) {
	o := op("GELUBackward")
	o.strided("dx", dx)
	o.strided("dy", dy)
	o.strided("x", x)
	o.alike("dx", dx, "x", x)
	o.alike("dy", dy, "x", x)
	o.apartOrSame("dx", dx, "dy", dy)
	o.apart("dx", dx, "x", x)
}

// CheckDropout panics unless y and x have one shape, are the same or apart, and
// the mask fits.
func CheckDropout(y, x Tensor, m rng.Mask) {
	o := op("Dropout")
	o.dense("y", y)
	o.dense("x", x)
	o.alike("y", y, "x", x)
	o.apartOrSame("y", y, "x", x)
	o.mask(m, x)
}

// CheckAddTo panics unless dst and x have the same rows and columns and lie
// apart.
func CheckAddTo(dst, x Tensor) {
	o := op("AddTo")
	o.strided("dst", dst)
	o.strided("x", x)
	o.alike("dst", dst, "x", x)
	o.apart("dst", dst, "x", x)
}

// CheckScale panics unless x is contiguous and F32.
func CheckScale(x Tensor) { op("Scale").float32s("x", x) }

// CheckColumnStats panics unless mean and std have one element per column of x
// and x has two rows or more.
func CheckColumnStats(mean, std, x Tensor) {
	o := op("ColumnStats")
	o.float32s("x", x)
	o.vector("mean", mean, x.Cols(), "x", x)
	o.vector("std", std, x.Cols(), "x", x)
	if x.Rows() < 2 {
		o.fail("x is %v: want two rows or more", x.shape)
	}
	o.apart("mean", mean, "x", x)
	o.apart("std", std, "x", x)
	o.apart("mean", mean, "std", std)
}

// groupSize returns the processes of a group, 1 for none.
func groupSize(g Group) int {
	if g == nil {
		return 1
	}
	return g.Size()
}
