package onnx

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Numbers of fields and of types, from onnx.proto.
const (
	modelIR, modelProducer, modelVersion          = 1, 2, 3
	modelDoc, modelGraph, modelOpSets             = 6, 7, 8
	modelMetadata                                 = 14
	opSetVersion                                  = 2
	entryKey, entryValue                          = 1, 2
	graphNode, graphName, graphTensor             = 1, 2, 5
	graphInput, graphOutput                       = 11, 12
	nodeInput, nodeOutput, nodeName, nodeOp       = 1, 2, 3, 4
	nodeAttr                                      = 5
	attrName, attrFloat, attrInt, attrInts        = 1, 2, 3, 8
	attrType, typeFloat, typeInt, typeInts        = 20, 1, 2, 7
	valueName, valueType                          = 1, 2
	typeTensor, tensorElem, tensorShape           = 1, 1, 2
	shapeDim, dimValue, dimName                   = 1, 1, 2
	tensorDims, tensorType, tensorName            = 1, 2, 8
	tensorRaw, tensorExternal, tensorLocation     = 9, 13, 14
	elemFloat, elemInt64, locationExternal        = 1, 7, 1
	wireVarint, wireBytes, wireFixed32        int = 0, 2, 5
)

// message is a protobuf message under construction.
type message []byte

func (m *message) tag(field, wire int) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|uint64(wire))
}

func (m *message) int(field int, v int64) {
	m.tag(field, wireVarint)
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) float(field int, v float32) {
	m.tag(field, wireFixed32)
	*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(v))
}

func (m *message) text(field int, s string) { m.message(field, []byte(s)) }

func (m *message) message(field int, sub []byte) {
	m.head(field, int64(len(sub)))
	*m = append(*m, sub...)
}

// head begins a field of n bytes, which the caller writes behind the message.
func (m *message) head(field int, n int64) {
	m.tag(field, wireBytes)
	*m = binary.AppendUvarint(*m, uint64(n))
}

// envelope returns the model without its graph.
func (m Model) envelope() message {
	var out, set message
	out.int(modelIR, IRVersion)
	out.text(modelProducer, m.Producer)
	out.text(modelVersion, m.Version)
	out.text(modelDoc, m.Doc)
	set.int(opSetVersion, OpSet)
	out.message(modelOpSets, set)
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		var e message
		e.text(entryKey, key)
		e.text(entryValue, m.Metadata[key])
		out.message(modelMetadata, e)
	}
	return out
}

// body returns the graph without its constants.
func (g *Graph) body() message {
	var out message
	for i, n := range g.nodes {
		out.message(graphNode, n.encode(i))
	}
	out.text(graphName, g.Name)
	for _, v := range g.Inputs {
		out.message(graphInput, v.encode())
	}
	for _, v := range g.Outputs {
		out.message(graphOutput, v.encode())
	}
	return out
}

func (n node) encode(i int) message {
	var out message
	for _, s := range n.inputs {
		out.text(nodeInput, s)
	}
	for _, s := range n.outputs {
		out.text(nodeOutput, s)
	}
	out.text(nodeName, n.op+"_"+strconv.Itoa(i))
	out.text(nodeOp, n.op)
	for _, a := range n.attrs {
		var m message
		m.text(attrName, a.Name)
		switch v := a.Value.(type) {
		case float32:
			m.float(attrFloat, v)
			m.int(attrType, typeFloat)
		case int:
			m.int(attrInt, int64(v))
			m.int(attrType, typeInt)
		case []int:
			for _, x := range v {
				m.int(attrInts, int64(x))
			}
			m.int(attrType, typeInts)
		}
		out.message(nodeAttr, m)
	}
	return out
}

func (v Value) encode() message {
	var shape, tensor, kind, out message
	for _, d := range v.Dims {
		var dim message
		switch d := d.(type) {
		case int:
			dim.int(dimValue, int64(d))
		case string:
			dim.text(dimName, d)
		default:
			panic(fmt.Sprintf("onnx: a dimension of %s is a %T", v.Name, d))
		}
		shape.message(shapeDim, dim)
	}
	tensor.int(tensorElem, elemFloat)
	tensor.message(tensorShape, shape)
	kind.message(typeTensor, tensor)
	out.text(valueName, v.Name)
	out.message(valueType, kind)
	return out
}

// head returns a constant up to its bytes: with a file given, which lie there from
// offset on, all of it.
func (c constant) head(file string, offset int64) message {
	var out message
	for _, d := range c.dims {
		out.int(tensorDims, int64(d))
	}
	elem := int64(elemFloat)
	if c.i64 != nil {
		elem = elemInt64
	}
	out.int(tensorType, elem)
	out.text(tensorName, c.name)
	if file == "" {
		out.head(tensorRaw, c.bytes())
		return out
	}
	for _, kv := range [][2]string{{"location", file}, {"offset", strconv.FormatInt(offset, 10)},
		{"length", strconv.FormatInt(c.bytes(), 10)}} {
		var e message
		e.text(entryKey, kv[0])
		e.text(entryValue, kv[1])
		out.message(tensorExternal, e)
	}
	out.int(tensorLocation, locationExternal)
	return out
}
