package graph

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// A DataType is the element type of a tensor, as numbered by onnx.proto3.
type DataType int32

// The element types that rewrites read or write.
const (
	Float32 DataType = 1
	Uint8   DataType = 2
	Int8    DataType = 3
	Int32   DataType = 6
	Int64   DataType = 7
)

// A Tensor is a constant of the graph.
type Tensor struct {
	Name string
	Dims []int64 // empty for a scalar
	Type DataType

	raw     []byte   // the whole message
	content []byte   // raw_data: little-endian elements
	floats  []byte   // float_data, packed
	ints    []uint64 // int32_data or int64_data
}

// ParseTensor reads a TensorProto. The result refers to data.
func ParseTensor(data []byte) (Tensor, error) {
	t := Tensor{raw: data}
	err := eachField(data, func(f field) (err error) {
		switch f.number {
		case tensorDims:
			dims, err := f.varints()
			for _, d := range dims {
				t.Dims = append(t.Dims, int64(d))
			}
			return err
		case tensorType:
			v, err := f.varint()
			t.Type = DataType(v)
			return err
		case tensorName:
			b, err := f.bytes()
			t.Name = string(b)
			return err
		case tensorRaw:
			t.content, err = f.bytes()
		case tensorFloats:
			if f.wire == protowire.Fixed32Type {
				t.floats = append(t.floats, f.value...)
				return nil
			}
			b, err := f.bytes()
			t.floats = append(t.floats, b...)
			return err
		case tensorInt32s, tensorInt64s:
			v, err := f.varints()
			t.ints = append(t.ints, v...)
			return err
		}
		return err
	})
	return t, err
}

// NewFloats makes a float32 tensor. values stand in row-major order.
func NewFloats(name string, dims []int64, values []float32) Tensor {
	content := make([]byte, 0, 4*len(values))
	for _, v := range values {
		content = binary.LittleEndian.AppendUint32(content, math.Float32bits(v))
	}
	raw := protowire.AppendTag(nil, tensorType, protowire.VarintType)
	raw = protowire.AppendVarint(raw, uint64(Float32))
	raw = appendBytes(raw, tensorRaw, content)
	return Tensor{Name: name, Dims: dims, Type: Float32, raw: named(raw, name, dims), content: content}
}

// Renamed returns the tensor under another name and shape. The number of elements must
// stay the same.
func (t Tensor) Renamed(name string, dims []int64) (Tensor, error) {
	var rest []byte
	err := eachField(t.raw, func(f field) error {
		if f.number != tensorName && f.number != tensorDims {
			rest = append(rest, f.raw...)
		}
		return nil
	})
	t.Name, t.Dims, t.raw = name, dims, named(rest, name, dims)
	return t, err
}

// named appends the name and the shape of a tensor to its other fields.
func named(raw []byte, name string, dims []int64) []byte {
	var packed []byte
	for _, d := range dims {
		packed = protowire.AppendVarint(packed, uint64(d))
	}
	return appendBytes(appendBytes(raw, tensorDims, packed), tensorName, []byte(name))
}

// Len returns the number of elements that the shape asks for. A negative dimension, or
// more elements than a file can hold, is an error.
func (t Tensor) Len() (int, error) {
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 || (d > 0 && n > math.MaxInt32/d) {
			return 0, fmt.Errorf("%w: tensor %q has shape %v", ErrMalformed, t.Name, t.Dims)
		}
		n *= d
	}
	return int(n), nil
}

// Floats returns the elements of a float32 tensor in row-major order.
func (t Tensor) Floats() ([]float32, error) {
	if t.Type != Float32 {
		return nil, fmt.Errorf("tensor %q has element type %d, want float32", t.Name, t.Type)
	}
	content := t.content
	if content == nil {
		content = t.floats
	}
	n, err := t.count(len(content), 4)
	if err != nil {
		return nil, err
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(content[4*i:]))
	}
	return out, nil
}

// Ints returns the elements of an integer tensor in row-major order.
func (t Tensor) Ints() ([]int64, error) {
	var size int
	var read func([]byte) int64
	switch t.Type {
	case Int8:
		size, read = 1, func(b []byte) int64 { return int64(int8(b[0])) }
	case Uint8:
		size, read = 1, func(b []byte) int64 { return int64(b[0]) }
	case Int32:
		size, read = 4, func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) }
	case Int64:
		size, read = 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }
	default:
		return nil, fmt.Errorf("tensor %q has element type %d, want int8, uint8, int32 or int64", t.Name, t.Type)
	}
	if t.content == nil {
		n, err := t.count(len(t.ints), 1)
		if err != nil {
			return nil, err
		}
		out := make([]int64, n)
		for i := range out {
			out[i] = int64(t.ints[i])
		}
		return out, nil
	}
	n, err := t.count(len(t.content), size)
	if err != nil {
		return nil, err
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = read(t.content[size*i:])
	}
	return out, nil
}

// count checks that the stored elements are as many as the shape says.
func (t Tensor) count(stored, size int) (int, error) {
	n, err := t.Len()
	if err != nil {
		return 0, err
	}
	if stored != n*size {
		return 0, fmt.Errorf("%w: tensor %q of shape %v holds %d bytes or elements, want %d",
			ErrMalformed, t.Name, t.Dims, stored, n*size)
	}
	return n, nil
}
