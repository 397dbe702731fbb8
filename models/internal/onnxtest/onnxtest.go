// Package onnxtest writes small ONNX files by hand for tests, each message as a list of
// fields with the numbers of onnx.proto3. It shares no code with the reader under test.
package onnxtest

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Element types of tensors.
const (
	Float32 = 1
	Uint8   = 2
	Int8    = 3
	Int64   = 7
)

// Bytes is a field that holds a message or a string.
func Bytes(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// Varint is a field that holds an integer.
func Varint(number protowire.Number, value int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(value))
}

// Join concatenates fields to a message.
func Join(fields ...[]byte) []byte {
	var b []byte
	for _, f := range fields {
		b = append(b, f...)
	}
	return b
}

// Model is a file of IR version 10 and operator set 21, with one graph of these fields.
func Model(graph ...[]byte) []byte {
	return Join(Varint(1, 10), Bytes(8, Varint(2, 21)), Bytes(7, Join(graph...)))
}

// Node is a node of a graph; attributes are made by Int and TensorAttribute.
func Node(op string, inputs, outputs []string, attributes ...[]byte) []byte {
	var b []byte
	for _, in := range inputs {
		b = append(b, Bytes(1, []byte(in))...)
	}
	for _, out := range outputs {
		b = append(b, Bytes(2, []byte(out))...)
	}
	b = append(b, Bytes(4, []byte(op))...)
	return Bytes(1, append(b, Join(attributes...)...))
}

// Int is an integer attribute of a node.
func Int(name string, value int64) []byte {
	return Bytes(5, Join(Bytes(1, []byte(name)), Varint(3, value), Varint(20, 2)))
}

// TensorAttribute is a tensor attribute of a node, made by Tensor and its like.
func TensorAttribute(name string, tensor []byte) []byte {
	return Bytes(5, Join(Bytes(1, []byte(name)), Bytes(5, tensor), Varint(20, 4)))
}

// Initialiser is a constant of a graph.
func Initialiser(tensor []byte) []byte { return Bytes(5, tensor) }

// Floats is a float32 tensor.
func Floats(name string, dims []int64, values ...float32) []byte {
	var content []byte
	for _, v := range values {
		content = binary.LittleEndian.AppendUint32(content, math.Float32bits(v))
	}
	return Tensor(name, Float32, dims, content)
}

// Int64s is an int64 tensor.
func Int64s(name string, dims []int64, values ...int64) []byte {
	var content []byte
	for _, v := range values {
		content = binary.LittleEndian.AppendUint64(content, uint64(v))
	}
	return Tensor(name, Int64, dims, content)
}

// Int8s is an int8 tensor.
func Int8s(name string, dims []int64, values ...int8) []byte {
	var content []byte
	for _, v := range values {
		content = append(content, byte(v))
	}
	return Tensor(name, Int8, dims, content)
}

// Tensor is a tensor whose elements stand in raw_data.
func Tensor(name string, elementType int64, dims []int64, content []byte) []byte {
	var b []byte
	for _, d := range dims {
		b = append(b, Varint(1, d)...)
	}
	return Join(b, Varint(2, elementType), Bytes(8, []byte(name)), Bytes(9, content))
}

// Input is an input of a graph, a float32 tensor.
func Input(name string, dims ...int64) []byte { return Bytes(11, value(name, dims)) }

// Output is an output of a graph, a float32 tensor.
func Output(name string, dims ...int64) []byte { return Bytes(12, value(name, dims)) }

func value(name string, dims []int64) []byte {
	var shape []byte
	for _, d := range dims {
		shape = append(shape, Bytes(1, Varint(1, d))...)
	}
	return Join(Bytes(1, []byte(name)), Bytes(2, Bytes(1, Join(Varint(1, Float32), Bytes(2, shape)))))
}
