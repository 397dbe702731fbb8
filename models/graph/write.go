package graph

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// NewNode makes a node of the standard domain without attributes.
func NewNode(op string, inputs []string, output string) Node {
	return Node{Op: op, Inputs: inputs, Outputs: []string{output}}
}

// Marshal writes the model. Equal models give equal bytes.
func (m *Model) Marshal() []byte {
	b := append([]byte(nil), m.rest...)
	return appendBytes(b, modelGraph, m.Graph.encode())
}

func (g *Graph) encode() []byte {
	var b []byte
	for _, n := range g.Nodes {
		b = appendBytes(b, graphNode, n.encode())
	}
	b = append(b, g.rest...)
	for _, t := range g.Initialisers {
		b = appendBytes(b, graphInitialiser, t.raw)
	}
	for _, v := range g.Inputs {
		b = appendBytes(b, graphInput, v.raw)
	}
	for _, v := range g.Outputs {
		b = appendBytes(b, graphOutput, v.raw)
	}
	return b
}

func (n Node) encode() []byte {
	if n.raw != nil {
		return n.raw
	}
	var b []byte
	for _, in := range n.Inputs {
		b = appendBytes(b, nodeInput, []byte(in))
	}
	for _, out := range n.Outputs {
		b = appendBytes(b, nodeOutput, []byte(out))
	}
	return appendBytes(b, nodeOp, []byte(n.Op))
}

// WithFreeDim returns the value with the dimension at axis left open under a name.
func (v Value) WithFreeDim(axis int, name string) (Value, error) {
	free := appendBytes(nil, dimParam, []byte(name))
	axes := 0
	raw, err := replace(v.raw, []protowire.Number{valueType, typeTensor, tensorTypeShape, shapeDim}, func(dim []byte) []byte {
		axes++
		if axes-1 == axis {
			return free
		}
		return dim
	})
	if err != nil {
		return Value{}, err
	}
	if axis < 0 || axis >= axes {
		return Value{}, fmt.Errorf("%q has %d dimensions, none at %d", v.Name, axes, axis)
	}
	return Value{Name: v.Name, raw: raw}, nil
}

// replace rewrites the messages at the end of a path of field numbers.
func replace(data []byte, path []protowire.Number, with func([]byte) []byte) ([]byte, error) {
	if len(path) == 0 {
		return with(data), nil
	}
	var b []byte
	err := eachField(data, func(f field) error {
		if f.number != path[0] {
			b = append(b, f.raw...)
			return nil
		}
		body, err := f.bytes()
		if err != nil {
			return err
		}
		body, err = replace(body, path[1:], with)
		b = appendBytes(b, f.number, body)
		return err
	})
	return b, err
}

func appendBytes(b []byte, number protowire.Number, value []byte) []byte {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendBytes(b, value)
}
