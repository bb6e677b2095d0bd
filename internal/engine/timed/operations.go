package timed

import (
	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// Info is that of the measured engine.
func (e *Engine) Info() engine.Info { return e.inner.Info() }

// Close closes the measured engine.
func (e *Engine) Close() error { return e.inner.Close() }

// NewBuffer is that of the measured engine, and not measured.
func (e *Engine) NewBuffer(dt engine.DType, elems int) (engine.Buffer, error) {
	return e.inner.NewBuffer(dt, elems)
}

// Sync returns the first fault since New.
func (e *Engine) Sync() error {
	if err := e.inner.Sync(); e.err == nil {
		e.err = err
	}
	return e.err
}

func (e *Engine) Upload(dst engine.Tensor, src []float32) {
	e.begin("Upload")
	e.count.Upload(dst, src)
	e.inner.Upload(dst, src)
	e.end()
}

func (e *Engine) UploadBytes(dst engine.Tensor, src []byte) {
	e.begin("UploadBytes")
	e.count.UploadBytes(dst, src)
	e.inner.UploadBytes(dst, src)
	e.end()
}

func (e *Engine) Download(dst []float32, src engine.Tensor) {
	e.begin("Download")
	e.count.Download(dst, src)
	e.inner.Download(dst, src)
	e.end()
}

func (e *Engine) Copy(dst, src engine.Tensor) {
	e.begin("Copy")
	e.count.Copy(dst, src)
	e.inner.Copy(dst, src)
	e.end()
}

func (e *Engine) Cast(dst, src engine.Tensor) {
	e.begin("Cast")
	e.count.Cast(dst, src)
	e.inner.Cast(dst, src)
	e.end()
}

func (e *Engine) Fill(dst engine.Tensor, v float32) {
	e.begin("Fill")
	e.count.Fill(dst, v)
	e.inner.Fill(dst, v)
	e.end()
}

func (e *Engine) Linear(a engine.LinearArgs) {
	e.begin("Linear")
	e.count.Linear(a)
	e.inner.Linear(a)
	e.end()
}

func (e *Engine) LinearInput(a engine.LinearInputArgs) {
	e.begin("LinearInput")
	e.count.LinearInput(a)
	e.inner.LinearInput(a)
	e.end()
}

func (e *Engine) LinearWeight(a engine.LinearWeightArgs) {
	e.begin("LinearWeight")
	e.count.LinearWeight(a)
	e.inner.LinearWeight(a)
	e.end()
}

func (e *Engine) LayerNorm(a engine.LayerNormArgs) {
	e.begin("LayerNorm")
	e.count.LayerNorm(a)
	e.inner.LayerNorm(a)
	e.end()
}

func (e *Engine) LayerNormBackward(a engine.LayerNormBackwardArgs) {
	e.begin("LayerNormBackward")
	e.count.LayerNormBackward(a)
	e.inner.LayerNormBackward(a)
	e.end()
}

func (e *Engine) BatchNorm(a engine.BatchNormArgs) {
	e.begin("BatchNorm")
	e.count.BatchNorm(a)
	e.inner.BatchNorm(a)
	e.end()
}

func (e *Engine) BatchNormBackward(a engine.BatchNormBackwardArgs) {
	e.begin("BatchNormBackward")
	e.count.BatchNormBackward(a)
	e.inner.BatchNormBackward(a)
	e.end()
}

func (e *Engine) GELU(y, x engine.Tensor) {
	e.begin("GELU")
	e.count.GELU(y, x)
	e.inner.GELU(y, x)
	e.end()
}

func (e *Engine) GELUBackward(dx, dy, x engine.Tensor) {
	e.begin("GELUBackward")
	e.count.GELUBackward(dx, dy, x)
	e.inner.GELUBackward(dx, dy, x)
	e.end()
}

func (e *Engine) Dropout(y, x engine.Tensor, m rng.Mask) {
	e.begin("Dropout")
	e.count.Dropout(y, x, m)
	e.inner.Dropout(y, x, m)
	e.end()
}

func (e *Engine) AddTo(dst, x engine.Tensor, alpha float32) {
	e.begin("AddTo")
	e.count.AddTo(dst, x, alpha)
	e.inner.AddTo(dst, x, alpha)
	e.end()
}

func (e *Engine) Scale(x engine.Tensor, alpha float32) {
	e.begin("Scale")
	e.count.Scale(x, alpha)
	e.inner.Scale(x, alpha)
	e.end()
}

func (e *Engine) ColumnStats(mean, std, x engine.Tensor) {
	e.begin("ColumnStats")
	e.count.ColumnStats(mean, std, x)
	e.inner.ColumnStats(mean, std, x)
	e.end()
}

func (e *Engine) Attention(a engine.AttentionArgs) {
	e.begin("Attention")
	e.count.Attention(a)
	e.inner.Attention(a)
	e.end()
}

func (e *Engine) AttentionBackward(a engine.AttentionBackwardArgs) {
	e.begin("AttentionBackward")
	e.count.AttentionBackward(a)
	e.inner.AttentionBackward(a)
	e.end()
}

func (e *Engine) AttentionWeights(w, q, k engine.Tensor, heads int) {
	e.begin("AttentionWeights")
	e.count.AttentionWeights(w, q, k, heads)
	e.inner.AttentionWeights(w, q, k, heads)
	e.end()
}

func (e *Engine) PatchifyVideo(a engine.PatchifyVideoArgs) {
	e.begin("PatchifyVideo")
	e.count.PatchifyVideo(a)
	e.inner.PatchifyVideo(a)
	e.end()
}

func (e *Engine) PatchifyAudio(a engine.PatchifyAudioArgs) {
	e.begin("PatchifyAudio")
	e.count.PatchifyAudio(a)
	e.inner.PatchifyAudio(a)
	e.end()
}

func (e *Engine) AssembleTokens(a engine.AssembleArgs) {
	e.begin("AssembleTokens")
	e.count.AssembleTokens(a)
	e.inner.AssembleTokens(a)
	e.end()
}

func (e *Engine) AssembleTokensBackward(a engine.AssembleBackwardArgs) {
	e.begin("AssembleTokensBackward")
	e.count.AssembleTokensBackward(a)
	e.inner.AssembleTokensBackward(a)
	e.end()
}

func (e *Engine) Center(c, z engine.Tensor, g int) {
	e.begin("Center")
	e.count.Center(c, z, g)
	e.inner.Center(c, z, g)
	e.end()
}

func (e *Engine) PredictionLoss(a engine.PredictionLossArgs) {
	e.begin("PredictionLoss")
	e.count.PredictionLoss(a)
	e.inner.PredictionLoss(a)
	e.end()
}

func (e *Engine) ECF(a engine.ECFArgs) {
	e.begin("ECF")
	e.count.ECF(a)
	e.inner.ECF(a)
	e.end()
}

func (e *Engine) SIGReg(a engine.SIGRegArgs) {
	e.begin("SIGReg")
	e.count.SIGReg(a)
	e.inner.SIGReg(a)
	e.end()
}

func (e *Engine) ECFBackward(a engine.ECFBackwardArgs) {
	e.begin("ECFBackward")
	e.count.ECFBackward(a)
	e.inner.ECFBackward(a)
	e.end()
}

func (e *Engine) CrossEntropy(a engine.CrossEntropyArgs) {
	e.begin("CrossEntropy")
	e.count.CrossEntropy(a)
	e.inner.CrossEntropy(a)
	e.end()
}

func (e *Engine) SquaredNorm(out, x engine.Tensor) {
	e.begin("SquaredNorm")
	e.count.SquaredNorm(out, x)
	e.inner.SquaredNorm(out, x)
	e.end()
}

func (e *Engine) ClipScale(scale, sq engine.Tensor, maxNorm float64) {
	e.begin("ClipScale")
	e.count.ClipScale(scale, sq, maxNorm)
	e.inner.ClipScale(scale, sq, maxNorm)
	e.end()
}

func (e *Engine) AdamW(a engine.AdamWArgs) {
	e.begin("AdamW")
	e.count.AdamW(a)
	e.inner.AdamW(a)
	e.end()
}
