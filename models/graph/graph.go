// Package graph reads and writes ONNX files without generated code: the parts of a
// model that checks and rewrites need are decoded, everything else is carried
// through as it was. Field numbers are those of onnx.proto3 (IR version 10).
//
// It owns the wire format. It knows no manifest, no weights by name and no runtime,
// and it follows no reference out of the file: external data is an error in [Check].
package graph

import (
	"errors"
	"fmt"
)

// ErrMalformed says that the bytes are not an ONNX model.
var ErrMalformed = errors.New("malformed ONNX")

// Field numbers of onnx.proto3.
const (
	modelOpsetImport = 8
	modelGraph       = 7
	modelFunctions   = 25
	modelTraining    = 20

	opsetDomain = 1

	graphNode         = 1
	graphInitialiser  = 5
	graphInput        = 11
	graphOutput       = 12
	graphValueInfo    = 13
	graphQuantisation = 14
	graphSparse       = 15

	nodeInput     = 1
	nodeOutput    = 2
	nodeName      = 3
	nodeOp        = 4
	nodeAttribute = 5
	nodeDomain    = 7

	attributeName          = 1
	attributeInt           = 3
	attributeTensor        = 5
	attributeGraph         = 6
	attributeTensors       = 10
	attributeGraphs        = 11
	attributeSparse        = 22
	attributeSparseTensors = 23

	sparseValues  = 1
	sparseIndices = 2

	tensorDims      = 1
	tensorType      = 2
	tensorFloats    = 4
	tensorInt32s    = 5
	tensorInt64s    = 7
	tensorName      = 8
	tensorRaw       = 9
	tensorExternal  = 13
	tensorLocation  = 14
	locationDefault = 0

	valueName = 1
	valueType = 2

	typeTensor = 1

	tensorTypeShape = 2

	shapeDim = 1

	dimValue = 1
	dimParam = 2
)

// A Model is an ONNX file: its graph, and every other field as it was.
type Model struct {
	Graph Graph
	rest  []byte
}

// A Graph is the main graph of a model. Nodes stand in topological order.
type Graph struct {
	Nodes        []Node
	Initialisers []Tensor
	Inputs       []Value
	Outputs      []Value
	rest         []byte
}

// A Node is one operator. It is immutable once read; rewrites replace nodes.
type Node struct {
	Op, Domain, Name string
	Inputs, Outputs  []string // an empty name is an optional input left out
	raw              []byte   // as read, or nil for a node made by a rewrite
	attributes       [][]byte
}

// A Value names and types an input or an output of the graph.
type Value struct {
	Name string
	raw  []byte
}

// Parse reads an ONNX file. The result refers to data, which must not change.
func Parse(data []byte) (*Model, error) {
	m := &Model{}
	graphs := 0
	err := eachField(data, func(f field) error {
		if f.number != modelGraph {
			m.rest = append(m.rest, f.raw...)
			return nil
		}
		graphs++
		body, err := f.bytes()
		if err != nil {
			return err
		}
		return m.Graph.parse(body)
	})
	if err != nil {
		return nil, err
	}
	if graphs != 1 {
		return nil, fmt.Errorf("%w: %d graphs, want 1", ErrMalformed, graphs)
	}
	return m, nil
}

func (g *Graph) parse(data []byte) error {
	return eachField(data, func(f field) error {
		switch f.number {
		case graphNode, graphInitialiser, graphInput, graphOutput:
		case graphValueInfo, graphQuantisation:
			return nil // derived annotations: a rewrite would leave them untrue
		default:
			g.rest = append(g.rest, f.raw...)
			return nil
		}
		body, err := f.bytes()
		if err != nil {
			return err
		}
		switch f.number {
		case graphNode:
			n, err := parseNode(body)
			g.Nodes = append(g.Nodes, n)
			return err
		case graphInitialiser:
			t, err := ParseTensor(body)
			g.Initialisers = append(g.Initialisers, t)
			return err
		case graphInput:
			v, err := parseValue(body)
			g.Inputs = append(g.Inputs, v)
			return err
		default:
			v, err := parseValue(body)
			g.Outputs = append(g.Outputs, v)
			return err
		}
	})
}

func parseNode(data []byte) (Node, error) {
	n := Node{raw: data}
	err := eachField(data, func(f field) error {
		switch f.number {
		case nodeInput, nodeOutput, nodeName, nodeOp, nodeAttribute, nodeDomain:
		default:
			return nil
		}
		b, err := f.bytes()
		if err != nil {
			return err
		}
		switch f.number {
		case nodeInput:
			n.Inputs = append(n.Inputs, string(b))
		case nodeOutput:
			n.Outputs = append(n.Outputs, string(b))
		case nodeName:
			n.Name = string(b)
		case nodeOp:
			n.Op = string(b)
		case nodeDomain:
			n.Domain = string(b)
		case nodeAttribute:
			n.attributes = append(n.attributes, b)
		}
		return nil
	})
	return n, err
}

func parseValue(data []byte) (Value, error) {
	v := Value{raw: data}
	err := eachField(data, func(f field) error {
		if f.number != valueName {
			return nil
		}
		b, err := f.bytes()
		v.Name = string(b)
		return err
	})
	return v, err
}

// Int returns the integer attribute called name, or missing if the node has none.
func (n Node) Int(name string, missing int64) (int64, error) {
	value := missing
	err := n.attribute(name, func(f field) error {
		if f.number != attributeInt {
			return nil
		}
		v, err := f.varint()
		value = int64(v)
		return err
	})
	return value, err
}

// Tensor returns the tensor attribute called name; found is false if the node has none.
func (n Node) Tensor(name string) (t Tensor, found bool, err error) {
	err = n.attribute(name, func(f field) error {
		if f.number != attributeTensor {
			return nil
		}
		b, err := f.bytes()
		if err != nil {
			return err
		}
		found = true
		t, err = ParseTensor(b)
		return err
	})
	return t, found, err
}

// HasSubgraph reports whether an attribute of the node holds a graph (If, Loop, Scan).
func (n Node) HasSubgraph() (bool, error) {
	found := false
	for _, a := range n.attributes {
		err := eachField(a, func(f field) error {
			found = found || f.number == attributeGraph || f.number == attributeGraphs
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return found, nil
}

// attribute visits the fields of the attribute called name.
func (n Node) attribute(name string, visit func(field) error) error {
	for _, a := range n.attributes {
		var got string
		err := eachField(a, func(f field) error {
			if f.number != attributeName {
				return nil
			}
			b, err := f.bytes()
			got = string(b)
			return err
		})
		if err != nil {
			return err
		}
		if got == name {
			return eachField(a, visit)
		}
	}
	return nil
}
