//go:build !amd64 || noasm

package kernel

func useVNNI() bool { return false }

func (p *int8Call) mul() { p.mulGo() }

func valueRange(x []float32) (lo, hi, nan float32) { return valueRangeGo(x) }

func roundRow(q []uint8, x []float32, inv, zero float32) { roundRowGo(q, x, inv, zero) }
