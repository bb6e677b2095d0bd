package onnx

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"avjepa/internal/durable"
)

// MaxBytes is the longest message that protobuf allows; a model of more than that
// needs its constants in a file beside it.
const MaxBytes = math.MaxInt32

// Constants below this stay in the model: shapes, which loaders look at before they
// open the file beside it. In that file every constant begins on such a boundary.
const externalAlign = 4096

// Bytes returns the bytes of all constants.
func (m Model) Bytes() int64 {
	var n int64
	for _, c := range m.Graph.tensors {
		n += c.bytes()
	}
	return n
}

// WriteFile writes the model, whole or not at all. With data given, the name of a
// file, the large constants go there, into the same folder, written first.
func (m Model) WriteFile(path, data string) error {
	if data != "" {
		err := durable.WriteFile(filepath.Join(filepath.Dir(path), data), m.writeData)
		if err != nil {
			return fmt.Errorf("onnx: %w", err)
		}
	} else if m.Bytes() > MaxBytes-(1<<20) {
		return fmt.Errorf("onnx: constants of %d bytes in a model of at most %d: they need a file "+
			"beside it", m.Bytes(), MaxBytes)
	}
	err := durable.WriteFile(path, func(out io.Writer) error { return m.write(out, data) })
	if err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	return nil
}

// write writes the message: all sizes are known before the first byte of the graph.
func (m Model) write(out io.Writer, data string) error {
	w := bufio.NewWriterSize(out, 1<<20)
	body, heads := m.Graph.body(), make([]message, len(m.Graph.tensors))
	inside := make([]int64, len(heads)) // bytes behind each head
	size, offset := int64(len(body)), int64(0)
	for i, c := range m.Graph.tensors {
		file := ""
		if outside(c, data) {
			file = data
		} else {
			inside[i] = c.bytes()
		}
		tensor := c.head(file, offset)
		if file != "" {
			offset += aligned(c.bytes())
		}
		heads[i].head(graphTensor, int64(len(tensor))+inside[i])
		heads[i] = append(heads[i], tensor...)
		size += int64(len(heads[i])) + inside[i]
	}
	envelope := m.envelope()
	envelope.head(modelGraph, size)
	w.Write(envelope)
	w.Write(body)
	for i, c := range m.Graph.tensors {
		w.Write(heads[i])
		if inside[i] > 0 {
			c.write(w)
		}
	}
	return w.Flush() // keeps the first error
}

// writeData writes the file beside the model.
func (m Model) writeData(out io.Writer) error {
	w := bufio.NewWriterSize(out, 1<<20)
	for _, c := range m.Graph.tensors {
		if outside(c, "data") {
			c.write(w)
			w.Write(make([]byte, aligned(c.bytes())-c.bytes()))
		}
	}
	return w.Flush()
}

func outside(c constant, data string) bool { return data != "" && c.bytes() >= externalAlign }

func aligned(n int64) int64 { return (n + externalAlign - 1) / externalAlign * externalAlign }

func (c constant) write(w *bufio.Writer) {
	var word [8]byte
	for _, v := range c.f32 {
		binary.LittleEndian.PutUint32(word[:4], math.Float32bits(v))
		w.Write(word[:4])
	}
	for _, v := range c.i64 {
		binary.LittleEndian.PutUint64(word[:], uint64(v))
		w.Write(word[:])
	}
}
