//go:build !amd64 || noasm

package view

func (a *axis) acrossVectors(dst, src []byte) bool { return false }

func downVectors(dst, rows []byte, k []int16, taps int) int { return 0 }

func mirror(dst, src []byte) { mirrorGo(dst, src) }
