package graph

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// A field is one field of a protobuf message: its tag and value as they were, and the value.
type field struct {
	number protowire.Number
	wire   protowire.Type
	raw    []byte // tag and value
	value  []byte // value alone, as encoded
}

func (f field) bytes() ([]byte, error) {
	if f.wire != protowire.BytesType {
		return nil, fmt.Errorf("%w: field %d has wire type %d, want bytes", ErrMalformed, f.number, f.wire)
	}
	b, n := protowire.ConsumeBytes(f.value)
	if n < 0 {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
	}
	return b, nil
}

func (f field) varint() (uint64, error) {
	if f.wire != protowire.VarintType {
		return 0, fmt.Errorf("%w: field %d has wire type %d, want varint", ErrMalformed, f.number, f.wire)
	}
	v, n := protowire.ConsumeVarint(f.value)
	if n < 0 {
		return 0, fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
	}
	return v, nil
}

// varints reads a repeated integer field, packed or not.
func (f field) varints() ([]uint64, error) {
	if f.wire == protowire.VarintType {
		v, err := f.varint()
		return []uint64{v}, err
	}
	b, err := f.bytes()
	if err != nil {
		return nil, err
	}
	var out []uint64
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		out, b = append(out, v), b[n:]
	}
	return out, nil
}

// eachField visits the fields of a message in their order, without copying.
func eachField(data []byte, visit func(field) error) error {
	for len(data) > 0 {
		number, wire, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(number, wire, data[tag:])
		if size < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(size))
		}
		if err := visit(field{number, wire, data[:tag+size], data[tag : tag+size]}); err != nil {
			return err
		}
		data = data[tag+size:]
	}
	return nil
}
