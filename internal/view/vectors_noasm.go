//go:build !amd64 || noasm

package view

// crossSlack is how many bytes across may write behind a row.
const crossSlack = 0

type crossTable struct{ ready bool }

func (a *axis) acrossVectors(dst, src []byte) bool { return false }

func downVectors(dst, rows []byte, k []int16, taps int) int { return 0 }

func mirror(dst, src []byte) { mirrorGo(dst, src) }

func (l *LogMel) loadVectors(x []float64, pcm []int16) bool { return false }

func (p *fftPass) run(y, x []float64) { p.runGo(y, x) }

func power(p, z, w []float64, n int) { powerGo(p, z, w, n) }

func (l *LogMel) bands(dst []float32, stride int, power []float64) { l.bandsGo(dst, stride, power) }
