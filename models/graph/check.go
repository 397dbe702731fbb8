package graph

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// What [Check] refuses.
var (
	ErrExternalData = errors.New("tensor data outside the file")
	ErrCustomDomain = errors.New("operator outside the standard ONNX domain")
	ErrFunction     = errors.New("model-local function or training graph")
	errDepth        = fmt.Errorf("%w: graphs nested too deeply", ErrMalformed)
)

// maxDepth bounds graphs within attributes of nodes of graphs.
const maxDepth = 8

// Check walks a whole ONNX file and refuses what a run-time library could be led astray
// by: data in other files, operators of custom domains, functions that redefine
// operators. Everything it accepts is self-contained and uses standard operators only.
func Check(data []byte) error {
	graphs := 0
	err := eachField(data, func(f field) error {
		switch f.number {
		case modelFunctions, modelTraining:
			return ErrFunction
		case modelOpsetImport:
			return eachOf(f, opsetDomain, func(g field) error { return checkDomain(g) })
		case modelGraph:
			graphs++
			return checkGraph(f, maxDepth)
		}
		return nil
	})
	if err == nil && graphs != 1 {
		err = fmt.Errorf("%w: %d graphs, want 1", ErrMalformed, graphs)
	}
	return err
}

func checkGraph(f field, depth int) error {
	if depth == 0 {
		return errDepth
	}
	body, err := f.bytes()
	if err != nil {
		return err
	}
	return eachField(body, func(f field) error {
		switch f.number {
		case graphNode:
			return checkNode(f, depth)
		case graphInitialiser:
			return checkTensor(f)
		case graphSparse:
			return checkSparse(f)
		}
		return nil
	})
}

func checkNode(f field, depth int) error {
	body, err := f.bytes()
	if err != nil {
		return err
	}
	return eachField(body, func(f field) error {
		switch f.number {
		case nodeDomain:
			return checkDomain(f)
		case nodeAttribute:
			return checkAttribute(f, depth)
		}
		return nil
	})
}

func checkAttribute(f field, depth int) error {
	body, err := f.bytes()
	if err != nil {
		return err
	}
	return eachField(body, func(f field) error {
		switch f.number {
		case attributeTensor, attributeTensors:
			return checkTensor(f)
		case attributeSparse, attributeSparseTensors:
			return checkSparse(f)
		case attributeGraph, attributeGraphs:
			return checkGraph(f, depth-1)
		}
		return nil
	})
}

func checkSparse(f field) error {
	if err := eachOf(f, sparseValues, checkTensor); err != nil {
		return err
	}
	return eachOf(f, sparseIndices, checkTensor)
}

func checkTensor(f field) error {
	body, err := f.bytes()
	if err != nil {
		return err
	}
	return eachField(body, func(f field) error {
		switch f.number {
		case tensorExternal:
			return ErrExternalData
		case tensorLocation:
			if v, err := f.varint(); err != nil || v != locationDefault {
				return errors.Join(err, ErrExternalData)
			}
		}
		return nil
	})
}

func checkDomain(f field) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	if d := string(b); d != "" && d != "ai.onnx" {
		return fmt.Errorf("%w: %q", ErrCustomDomain, d)
	}
	return nil
}

// eachOf visits the fields with one number within the message f.
func eachOf(f field, number protowire.Number, visit func(field) error) error {
	body, err := f.bytes()
	if err != nil {
		return err
	}
	return eachField(body, func(f field) error {
		if f.number != number {
			return nil
		}
		return visit(f)
	})
}
