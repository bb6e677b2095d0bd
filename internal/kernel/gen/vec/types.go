package main

import "github.com/mmcloughlin/avo/reg"

type (
	GPVirtual  = reg.GPVirtual
	VecVirtual = reg.VecVirtual
)
