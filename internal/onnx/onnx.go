// Package onnx writes models in the Open Neural Network Exchange format: a graph of
// operations with its constants, as one protobuf message.
//
//	g := &onnx.Graph{Name: "twice", Inputs: []onnx.Value{{Name: "x", Dims: []any{"batch", 3}}}}
//	g.AddFloats("two", nil, []float32{2})
//	g.Add("Mul", []string{"x", "two"}, "y")
//	g.Outputs = []onnx.Value{{Name: "y", Dims: []any{"batch", 3}}}
//	err := onnx.Model{Graph: g}.WriteFile("twice.onnx", "")
//
// Only what avjepa needs is here: float32 and int64 constants, and attributes that
// are numbers. Source: onnx.proto of ONNX 1.12, operator set 17.
package onnx

import (
	"fmt"
	"strconv"
)

// OpSet is the version of the operators that a model uses: the first with
// LayerNormalization. IRVersion is that of the format which came with it.
const (
	OpSet     = 17
	IRVersion = 8
)

// Model is a graph with what is said about it.
type Model struct {
	Graph    *Graph
	Producer string            // program
	Version  string            // of the program
	Doc      string            // for people
	Metadata map[string]string // for programs
}

// Graph is operations in an order in which they can run.
type Graph struct {
	Name            string
	Inputs, Outputs []Value // float32

	nodes   []node
	tensors []constant
	names   map[string]bool
}

// Value is an input or output with its dimensions, each an int or the name of one
// that is free.
type Value struct {
	Name string
	Dims []any
}

// Attr is an attribute of an operation: a float32, an int or []int.
type Attr struct {
	Name  string
	Value any
}

type node struct {
	op      string
	inputs  []string
	outputs []string
	attrs   []Attr
}

// constant is a tensor that comes with the graph.
type constant struct {
	name string
	dims []int
	f32  []float32
	i64  []int64 // in place of f32
}

func (c constant) bytes() int64 { return 4*int64(len(c.f32)) + 8*int64(len(c.i64)) }

// Add appends an operation with one output and returns the output's name. A name
// that is taken, or an attribute of another type, is our own mistake: it panics.
func (g *Graph) Add(op string, inputs []string, output string, attrs ...Attr) string {
	g.claim(output)
	for _, a := range attrs {
		switch a.Value.(type) {
		case float32, int, []int:
		default:
			panic(fmt.Sprintf("onnx: attribute %s of %s is a %T", a.Name, op, a.Value))
		}
	}
	g.nodes = append(g.nodes, node{op, inputs, []string{output}, attrs})
	return output
}

// AddFloats appends a float32 constant, a scalar for no dimensions, and returns its
// name. The data are kept, not copied, until the model is written.
func (g *Graph) AddFloats(name string, dims []int, data []float32) string {
	return g.constant(constant{name: name, dims: dims, f32: data}, len(data))
}

// AddInts appends an int64 constant of one dimension and returns its name.
func (g *Graph) AddInts(name string, data ...int64) string {
	return g.constant(constant{name: name, dims: []int{len(data)}, i64: data}, len(data))
}

// AddInt appends an int64 scalar and returns its name.
func (g *Graph) AddInt(name string, v int64) string {
	return g.constant(constant{name: name, i64: []int64{v}}, 1)
}

// Has reports whether a name is taken.
func (g *Graph) Has(name string) bool { return g.names[name] }

func (g *Graph) constant(c constant, elems int) string {
	n := 1
	for _, d := range c.dims {
		n *= d
	}
	if n != elems {
		panic("onnx: " + c.name + " has " + strconv.Itoa(elems) + " values for shape " +
			fmt.Sprint(c.dims))
	}
	g.claim(c.name)
	g.tensors = append(g.tensors, c)
	return c.name
}

func (g *Graph) claim(name string) {
	if g.names == nil {
		g.names = map[string]bool{}
	}
	if g.names[name] {
		panic("onnx: name " + name + " is taken")
	}
	g.names[name] = true
}
