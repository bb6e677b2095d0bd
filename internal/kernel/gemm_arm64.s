//go:build !noasm

#include "textflag.h"

// FMLA is FMLA Vd.4S, Vn.4S, Vm.S[i], which the assembler has no name for:
// every element of d += that of n times element i of m.
#define FMLA(m, i, n, d) \
	WORD $(0x4F801000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d))

// ROW adds element i of m, times the eight columns in registers b and b + 1, to
// a row of the tile in registers c and c + 1.
#define ROW(m, i, b, c) \
	FMLA(m, i, b, c) \
	FMLA(m, i, (b)+1, (c)+1)

// STEP adds one step of K: operand A in element i of registers 16…23, a row of
// the tile each.
#define STEP(i, b) \
	ROW(16, i, b, 0) \
	ROW(17, i, b, 2) \
	ROW(18, i, b, 4) \
	ROW(19, i, b, 6) \
	ROW(20, i, b, 8) \
	ROW(21, i, b, 10) \
	ROW(22, i, b, 12) \
	ROW(23, i, b, 14)

// COLUMN is STEP with operand A in the elements of registers a and a + 1.
#define COLUMN(a, b) \
	ROW(a, 0, b, 0) \
	ROW(a, 1, b, 2) \
	ROW(a, 2, b, 4) \
	ROW(a, 3, b, 6) \
	ROW((a)+1, 0, b, 8) \
	ROW((a)+1, 1, b, 10) \
	ROW((a)+1, 2, b, 12) \
	ROW((a)+1, 3, b, 14)

// func gemmTileNEON(kc int, a *float32, rs, cs uintptr, b, c *float32, ldc uintptr,
//	d *float32, ldd uintptr, bias *float32)
TEXT ·gemmTileNEON(SB), NOSPLIT, $0-80
	MOVD kc+0(FP), R0
	MOVD a+8(FP), R1
	MOVD rs+16(FP), R9
	MOVD cs+24(FP), R10
	MOVD b+32(FP), R11
	MOVD d+56(FP), R12
	MOVD bias+72(FP), R13

	// The tile starts as the bias, or 0, in every row …
	VEOR V24.B16, V24.B16, V24.B16
	VEOR V25.B16, V25.B16, V25.B16
	CBZ  R13, start
	VLD1 (R13), [V24.S4, V25.S4]

start:
	VMOV V24.B16, V0.B16
	VMOV V25.B16, V1.B16
	VMOV V24.B16, V2.B16
	VMOV V25.B16, V3.B16
	VMOV V24.B16, V4.B16
	VMOV V25.B16, V5.B16
	VMOV V24.B16, V6.B16
	VMOV V25.B16, V7.B16
	VMOV V24.B16, V8.B16
	VMOV V25.B16, V9.B16
	VMOV V24.B16, V10.B16
	VMOV V25.B16, V11.B16
	VMOV V24.B16, V12.B16
	VMOV V25.B16, V13.B16
	VMOV V24.B16, V14.B16
	VMOV V25.B16, V15.B16
	CBZ  R12, multiply

	// … plus d: its rows times 1.
	MOVD   ldd+64(FP), R14
	FMOVS  $1.0, F16
	VLD1.P (R12)(R14), [V24.S4, V25.S4]
	FMLA(16, 0, 24, 0)
	FMLA(16, 0, 25, 1)
	VLD1.P (R12)(R14), [V26.S4, V27.S4]
	FMLA(16, 0, 26, 2)
	FMLA(16, 0, 27, 3)
	VLD1.P (R12)(R14), [V28.S4, V29.S4]
	FMLA(16, 0, 28, 4)
	FMLA(16, 0, 29, 5)
	VLD1.P (R12)(R14), [V30.S4, V31.S4]
	FMLA(16, 0, 30, 6)
	FMLA(16, 0, 31, 7)
	VLD1.P (R12)(R14), [V24.S4, V25.S4]
	FMLA(16, 0, 24, 8)
	FMLA(16, 0, 25, 9)
	VLD1.P (R12)(R14), [V26.S4, V27.S4]
	FMLA(16, 0, 26, 10)
	FMLA(16, 0, 27, 11)
	VLD1.P (R12)(R14), [V28.S4, V29.S4]
	FMLA(16, 0, 28, 12)
	FMLA(16, 0, 29, 13)
	VLD1   (R12), [V30.S4, V31.S4]
	FMLA(16, 0, 30, 14)
	FMLA(16, 0, 31, 15)

multiply:
	CMP $4, R9
	BEQ columns

	// A row after row: pointers to eight rows, four steps of each at a time.
	ADD R9, R1, R2
	ADD R9, R2, R3
	ADD R9, R3, R4
	ADD R9, R4, R5
	ADD R9, R5, R6
	ADD R9, R6, R7
	ADD R9, R7, R8
	CMP $4, R0
	BLT rowsRest

rows4:
	VLD1.P 64(R11), [V24.S4, V25.S4, V26.S4, V27.S4]
	VLD1.P 16(R1), [V16.S4]
	VLD1.P 16(R2), [V17.S4]
	VLD1.P 16(R3), [V18.S4]
	VLD1.P 16(R4), [V19.S4]
	VLD1.P 16(R5), [V20.S4]
	VLD1.P 16(R6), [V21.S4]
	VLD1.P 16(R7), [V22.S4]
	VLD1.P 16(R8), [V23.S4]
	VLD1.P 64(R11), [V28.S4, V29.S4, V30.S4, V31.S4]
	STEP(0, 24)
	STEP(1, 26)
	STEP(2, 28)
	STEP(3, 30)
	SUB    $4, R0
	CMP    $4, R0
	BGE    rows4

rowsRest:
	CBZ R0, store

rows1:
	VLD1.P  32(R11), [V24.S4, V25.S4]
	FMOVS.P 4(R1), F16
	FMOVS.P 4(R2), F17
	FMOVS.P 4(R3), F18
	FMOVS.P 4(R4), F19
	FMOVS.P 4(R5), F20
	FMOVS.P 4(R6), F21
	FMOVS.P 4(R7), F22
	FMOVS.P 4(R8), F23
	STEP(0, 24)
	SUB     $1, R0
	CBNZ    R0, rows1
	B       store

	// A column after column: eight neighbours are one step.
columns:
	CMP $4, R0
	BLT columnsRest

columns4:
	VLD1.P (R1)(R10), [V16.S4, V17.S4]
	VLD1.P 64(R11), [V24.S4, V25.S4, V26.S4, V27.S4]
	VLD1.P (R1)(R10), [V18.S4, V19.S4]
	VLD1.P (R1)(R10), [V20.S4, V21.S4]
	VLD1.P (R1)(R10), [V22.S4, V23.S4]
	VLD1.P 64(R11), [V28.S4, V29.S4, V30.S4, V31.S4]
	COLUMN(16, 24)
	COLUMN(18, 26)
	COLUMN(20, 28)
	COLUMN(22, 30)
	SUB    $4, R0
	CMP    $4, R0
	BGE    columns4

columnsRest:
	CBZ R0, store

columns1:
	VLD1.P (R1)(R10), [V16.S4, V17.S4]
	VLD1.P 32(R11), [V24.S4, V25.S4]
	COLUMN(16, 24)
	SUB    $1, R0
	CBNZ   R0, columns1

store:
	MOVD   c+40(FP), R11
	MOVD   ldc+48(FP), R12
	VST1.P [V0.S4, V1.S4], (R11)(R12)
	VST1.P [V2.S4, V3.S4], (R11)(R12)
	VST1.P [V4.S4, V5.S4], (R11)(R12)
	VST1.P [V6.S4, V7.S4], (R11)(R12)
	VST1.P [V8.S4, V9.S4], (R11)(R12)
	VST1.P [V10.S4, V11.S4], (R11)(R12)
	VST1.P [V12.S4, V13.S4], (R11)(R12)
	VST1   [V14.S4, V15.S4], (R11)
	RET
