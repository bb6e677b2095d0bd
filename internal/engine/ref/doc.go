// Package ref is the engine that defines what every operation computes: plain
// loops over float64, forward and backward of an operation side by side with
// its formula. Other engines are held to it by package enginetest.
//
// Tensors of type F32 hold float64 here, so gradients by differences are clean
// to ten digits. Memory lies behind integer handles and is stored scrambled: a
// layer that reached around the interface would compute nonsense, as it would
// with the memory of a GPU.
//
// An operation loads its operands into slices of float64, computes and stores.
package ref
