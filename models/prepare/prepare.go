// Package prepare turns packaged ONNX weights into the files that a device runs:
// quantised constants become float32, PRelu becomes operators that the runtime
// executes without branching, inputs that nothing reads go. The step is
// deterministic, so that the manifest pins the SHA-256 of its result.
//
// It owns the rewriting rules. It knows no package, no path and no runtime.
package prepare

import (
	"fmt"

	"github.com/edgeverify/edgeverify/models/graph"
)

// Options chooses what is rewritten.
type Options struct {
	// FreeSize opens the height and width of the first input (N×C×H×W) and the
	// second dimension of every output (N×cells×…).
	FreeSize bool
	// Centre negates the shift of the batch normalisation that gives an
	// encoder's embedding. The shift is the mean embedding of the faces that
	// the encoder was trained on, and says nothing about whose face it is, yet
	// every two embeddings share it, which lifts the scores of strangers.
	Centre bool
}

// Model prepares one ONNX file, which must pass [graph.Check]. What the result computes
// differs from before by rounding only.
func Model(data []byte, o Options) ([]byte, error) {
	if err := graph.Check(data); err != nil {
		return nil, err
	}
	m, err := graph.Parse(data)
	if err != nil {
		return nil, err
	}
	r, err := newRewriter(&m.Graph)
	if err != nil {
		return nil, err
	}
	for _, n := range m.Graph.Nodes {
		if err := r.node(n); err != nil {
			return nil, fmt.Errorf("node %s %q: %w", n.Op, n.Name, err)
		}
	}
	if o.Centre {
		if err := r.centre(m.Graph.Outputs); err != nil {
			return nil, err
		}
	}
	r.finish(&m.Graph)
	if o.FreeSize {
		if err := freeSize(&m.Graph); err != nil {
			return nil, err
		}
	}
	return m.Marshal(), nil
}

// A rewriter holds the constants known so far and the nodes that remain.
type rewriter struct {
	constants map[string]graph.Tensor
	order     []string // of constants, by first definition: the output is deterministic
	nodes     []graph.Node
	taken     map[string]bool // every name of a value in the graph
}

func newRewriter(g *graph.Graph) (*rewriter, error) {
	r := &rewriter{constants: map[string]graph.Tensor{}, taken: map[string]bool{}}
	for _, v := range append(append([]graph.Value(nil), g.Inputs...), g.Outputs...) {
		r.taken[v.Name] = true
	}
	for _, n := range g.Nodes {
		for _, name := range append(append([]string(nil), n.Inputs...), n.Outputs...) {
			r.taken[name] = true
		}
		nested, err := n.HasSubgraph()
		if err != nil {
			return nil, err
		}
		if nested {
			return nil, fmt.Errorf("node %s %q holds a graph of its own, whose inputs are not traced", n.Op, n.Name)
		}
	}
	for _, t := range g.Initialisers {
		r.taken[t.Name] = true
		r.define(t)
	}
	return r, nil
}

func (r *rewriter) define(t graph.Tensor) {
	if _, known := r.constants[t.Name]; !known {
		r.order = append(r.order, t.Name)
	}
	r.constants[t.Name] = t
}

// node folds, splits or keeps one node.
func (r *rewriter) node(n graph.Node) error {
	switch n.Op {
	case "Constant":
		t, found, err := n.Tensor("value")
		if err != nil {
			return err
		}
		if found && len(n.Outputs) == 1 {
			if t, err = t.Renamed(n.Outputs[0], t.Dims); err != nil {
				return err
			}
			r.define(t)
			return nil
		}
	case "DequantizeLinear":
		if in, known := r.known(n.Inputs); known {
			t, err := dequantize(n, in)
			if err != nil {
				return err
			}
			r.define(t)
			return nil
		}
	case "Reshape":
		if in, known := r.known(n.Inputs); known {
			t, err := reshape(n, in)
			if err != nil {
				return err
			}
			r.define(t)
			return nil
		}
	case "PRelu":
		if len(n.Inputs) == 2 && len(n.Outputs) == 1 {
			if slope, known := r.constants[n.Inputs[1]]; known && slope.Type == graph.Float32 {
				return r.splitPRelu(n, slope)
			}
		}
	}
	r.nodes = append(r.nodes, n)
	return nil
}

// known returns the constants that names stand for, if all of them are constants.
func (r *rewriter) known(names []string) ([]graph.Tensor, bool) {
	out := make([]graph.Tensor, len(names))
	for i, name := range names {
		t, ok := r.constants[name]
		if !ok {
			return nil, false
		}
		out[i] = t
	}
	return out, len(names) > 0
}

// splitPRelu writes PRelu(x, a) as a·x + Relu((1 − a)·x), or as a·x + (1 − a)·Relu(x) where
// a slope exceeds 1. The runtime's own PRelu branches for each element, slowly on a lively
// picture, and stands between convolutions whose blocked layout it cannot read; these
// operators it runs in that layout. Results differ by rounding only.
func (r *rewriter) splitPRelu(n graph.Node, slope graph.Tensor) error {
	a, err := slope.Floats()
	if err != nil {
		return err
	}
	gain, steep := make([]float32, len(a)), false // gain: 1 − a
	for i, v := range a {
		gain[i], steep = 1-v, steep || !(v <= 1)
	}
	x, y := n.Inputs[0], n.Outputs[0]
	name := r.free(y + "_gain")
	r.define(graph.NewFloats(name, slope.Dims, gain))
	linear, bent, rest := r.free(y+"_linear"), r.free(y+"_bent"), r.free(y+"_rest")
	if steep {
		r.nodes = append(r.nodes,
			graph.NewNode("Relu", []string{x}, bent),
			graph.NewNode("Mul", []string{bent, name}, rest))
	} else {
		r.nodes = append(r.nodes,
			graph.NewNode("Mul", []string{x, name}, bent),
			graph.NewNode("Relu", []string{bent}, rest))
	}
	r.nodes = append(r.nodes,
		graph.NewNode("Mul", []string{x, slope.Name}, linear),
		graph.NewNode("Add", []string{rest, linear}, y))
	return nil
}

// centre negates the shift of the node that gives the graph's only output.
func (r *rewriter) centre(outputs []graph.Value) error {
	if len(outputs) != 1 {
		return fmt.Errorf("centre: the graph has %d outputs, want one", len(outputs))
	}
	for _, n := range r.nodes {
		if len(n.Outputs) == 0 || n.Outputs[0] != outputs[0].Name {
			continue
		}
		if n.Op != "BatchNormalization" || len(n.Inputs) != 5 {
			return fmt.Errorf("centre: node %s %q gives the output, want BatchNormalization", n.Op, n.Name)
		}
		shift, known := r.constants[n.Inputs[2]]
		if !known || r.readers(n.Inputs[2]) != 1 {
			return fmt.Errorf("centre: the shift %q is no constant of this node alone", n.Inputs[2])
		}
		values, err := shift.Floats()
		if err != nil {
			return err
		}
		for i := range values {
			values[i] = -values[i]
		}
		r.define(graph.NewFloats(shift.Name, shift.Dims, values))
		return nil
	}
	return fmt.Errorf("centre: no node gives the output %q", outputs[0].Name)
}

// readers counts the places that read a value.
func (r *rewriter) readers(name string) int {
	count := 0
	for _, n := range r.nodes {
		for _, in := range n.Inputs {
			if in == name {
				count++
			}
		}
	}
	return count
}

// free returns name, or name with underscores if the graph has it already, and takes it.
func (r *rewriter) free(name string) string {
	for r.taken[name] {
		name += "_"
	}
	r.taken[name] = true
	return name
}

// finish writes back what remains: nodes, the constants that they read, the inputs that
// are neither constant nor unread.
func (r *rewriter) finish(g *graph.Graph) {
	used := map[string]bool{}
	for _, n := range r.nodes {
		for _, in := range n.Inputs {
			used[in] = true
		}
	}
	for _, v := range g.Outputs {
		used[v.Name] = true
	}
	g.Nodes = r.nodes
	g.Initialisers = nil
	for _, name := range r.order {
		if used[name] {
			g.Initialisers = append(g.Initialisers, r.constants[name])
		}
	}
	var inputs []graph.Value
	for _, v := range g.Inputs {
		if _, constant := r.constants[v.Name]; used[v.Name] && !constant {
			inputs = append(inputs, v)
		}
	}
	g.Inputs = inputs
}

func freeSize(g *graph.Graph) error {
	if len(g.Inputs) == 0 {
		return fmt.Errorf("free size: the graph has no input")
	}
	for i, name := range []string{"h", "w"} {
		v, err := g.Inputs[0].WithFreeDim(2+i, name)
		if err != nil {
			return fmt.Errorf("free size: %w", err)
		}
		g.Inputs[0] = v
	}
	for i, out := range g.Outputs {
		v, err := out.WithFreeDim(1, "n_"+out.Name)
		if err != nil {
			return fmt.Errorf("free size: %w", err)
		}
		g.Outputs[i] = v
	}
	return nil
}
