package prepare_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/edgeverify/edgeverify/models/graph"
	pb "github.com/edgeverify/edgeverify/models/internal/onnxtest"
	"github.com/edgeverify/edgeverify/models/prepare"
)

// prepared parses what Model makes of a graph of these fields.
func prepared(t *testing.T, o prepare.Options, fields ...[]byte) graph.Graph {
	t.Helper()
	out, err := prepare.Model(pb.Model(fields...), o)
	if err != nil {
		t.Fatalf("Model() = %v", err)
	}
	m, err := graph.Parse(out)
	if err != nil {
		t.Fatalf("Parse(Model()) = %v", err)
	}
	return m.Graph
}

// ops lists the operators of a graph.
func ops(g graph.Graph) []string {
	var out []string
	for _, n := range g.Nodes {
		out = append(out, n.Op)
	}
	return out
}

// constant returns the elements and shape of an initialiser.
func constant(t *testing.T, g graph.Graph, name string) ([]float32, []int64) {
	t.Helper()
	for _, i := range g.Initialisers {
		if i.Name == name {
			v, err := i.Floats()
			if err != nil {
				t.Fatal(err)
			}
			return v, i.Dims
		}
	}
	t.Fatalf("no initialiser %q", name)
	return nil, nil
}

// addW is a graph that adds the constant w, made by the given fields, to the input x.
func addW(fields ...[]byte) [][]byte {
	return append(fields, pb.Node("Add", []string{"x", "w"}, []string{"y"}), pb.Input("x", 1), pb.Output("y", 1))
}

func TestDequantizeLinearBecomesAConstant(t *testing.T) {
	node := func(attributes ...[]byte) []byte {
		return pb.Node("DequantizeLinear", []string{"q", "s", "z"}, []string{"w"}, attributes...)
	}
	q := pb.Initialiser(pb.Int8s("q", []int64{2, 3}, -128, 0, 127, 1, 2, 3))
	tests := map[string]struct {
		fields [][]byte
		want   []float32
	}{
		"per tensor": {
			[][]byte{q, pb.Initialiser(pb.Floats("s", nil, 0.5)), pb.Initialiser(pb.Int8s("z", nil, 2)), node()},
			[]float32{-65, -1, 62.5, -0.5, 0, 0.5},
		},
		"per tensor, with a block size that means nothing": {
			[][]byte{q, pb.Initialiser(pb.Floats("s", []int64{1}, 0.5)), pb.Initialiser(pb.Int8s("z", []int64{1}, 2)), node(pb.Int("block_size", 64), pb.Int("axis", 0))},
			[]float32{-65, -1, 62.5, -0.5, 0, 0.5},
		},
		"per channel of the default axis": {
			[][]byte{q, pb.Initialiser(pb.Floats("s", []int64{3}, 1, 10, 100)), pb.Initialiser(pb.Int8s("z", []int64{3}, 0, 1, 2)), node()},
			[]float32{-128, -10, 12500, 1, 10, 100},
		},
		"per channel of a negative axis": {
			[][]byte{q, pb.Initialiser(pb.Floats("s", []int64{2}, 1, 10)), pb.Initialiser(pb.Int8s("z", []int64{2}, 0, 1)), node(pb.Int("axis", -2))},
			[]float32{-128, 0, 127, 0, 10, 20},
		},
		"blocked, the last block shorter": {
			[][]byte{q, pb.Initialiser(pb.Floats("s", []int64{2, 2}, 1, 10, 100, 1000)), pb.Initialiser(pb.Int8s("z", []int64{2, 2}, 0, 0, 0, 1)), node(pb.Int("axis", 1), pb.Int("block_size", 2))},
			[]float32{-128, 0, 1270, 100, 200, 2000},
		},
		"without zero point": {
			[][]byte{q, pb.Initialiser(pb.Floats("s", nil, 2)), pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"})},
			[]float32{-256, 0, 254, 2, 4, 6},
		},
		"unsigned": {
			[][]byte{pb.Initialiser(pb.Tensor("q", pb.Uint8, []int64{2, 3}, []byte{0, 128, 255, 1, 2, 3})), pb.Initialiser(pb.Floats("s", nil, 1)), pb.Initialiser(pb.Tensor("z", pb.Uint8, nil, []byte{128})), node()},
			[]float32{-128, 0, 127, -127, -126, -125},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := prepared(t, prepare.Options{}, addW(tt.fields...)...)
			w, dims := constant(t, g, "w")
			if !slices.Equal(w, tt.want) || !slices.Equal(dims, []int64{2, 3}) {
				t.Errorf("w = %v of shape %v, want %v of shape [2 3]", w, dims, tt.want)
			}
			if !slices.Equal(ops(g), []string{"Add"}) || len(g.Initialisers) != 1 {
				t.Errorf("left are %v and %d constants, want Add and 1", ops(g), len(g.Initialisers))
			}
		})
	}
}

func TestScalesThatDoNotFitAreRefused(t *testing.T) {
	q := pb.Initialiser(pb.Int8s("q", []int64{2, 3}, 1, 2, 3, 4, 5, 6))
	for name, fields := range map[string][][]byte{
		"length": {pb.Initialiser(pb.Floats("s", []int64{2}, 1, 2)), pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"})},
		"axis":   {pb.Initialiser(pb.Floats("s", []int64{3}, 1, 2, 3)), pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"}, pb.Int("axis", 2))},
		"blocks": {pb.Initialiser(pb.Floats("s", []int64{2, 1}, 1, 2)), pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"}, pb.Int("block_size", 2))},
		"zeros":  {pb.Initialiser(pb.Floats("s", nil, 1)), pb.Initialiser(pb.Int8s("z", []int64{2}, 1, 2)), pb.Node("DequantizeLinear", []string{"q", "s", "z"}, []string{"w"})},
		"empty":  {pb.Initialiser(pb.Floats("s", []int64{0})), pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"})},
		"inputs": {pb.Node("DequantizeLinear", []string{"q"}, []string{"w"})},
		"type":   {pb.Initialiser(pb.Int8s("s", nil, 1)), pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"})},
	} {
		if out, err := prepare.Model(pb.Model(addW(append(fields, q)...)...), prepare.Options{}); err == nil {
			t.Errorf("%s: Model() = %d bytes, want an error", name, len(out))
		}
	}
}

func TestReshapeOfAConstantBecomesAConstant(t *testing.T) {
	for _, tt := range []struct {
		shape, want []int64
	}{
		{[]int64{3, 2}, []int64{3, 2}},
		{[]int64{-1}, []int64{6}},
		{[]int64{0, 1, -1}, []int64{2, 1, 3}},
	} {
		g := prepared(t, prepare.Options{}, addW(
			pb.Initialiser(pb.Floats("c", []int64{2, 3}, 1, 2, 3, 4, 5, 6)),
			pb.Initialiser(pb.Int64s("shape", []int64{int64(len(tt.shape))}, tt.shape...)),
			pb.Node("Reshape", []string{"c", "shape"}, []string{"w"}))...)
		if w, dims := constant(t, g, "w"); !slices.Equal(dims, tt.want) || len(w) != 6 {
			t.Errorf("Reshape to %v gives shape %v, want %v", tt.shape, dims, tt.want)
		}
	}
	for _, shape := range [][]int64{{4}, {-1, -1}, {-2, 3}, {4, -1}, {math.MaxInt64, math.MaxInt64}} {
		_, err := prepare.Model(pb.Model(addW(
			pb.Initialiser(pb.Floats("c", []int64{2, 3}, 1, 2, 3, 4, 5, 6)),
			pb.Initialiser(pb.Int64s("shape", []int64{int64(len(shape))}, shape...)),
			pb.Node("Reshape", []string{"c", "shape"}, []string{"w"}))...), prepare.Options{})
		if err == nil {
			t.Errorf("Model() with Reshape of 6 elements to %v = nil, want an error", shape)
		}
	}
}

func TestConstantNodeBecomesAnInitialiser(t *testing.T) {
	g := prepared(t, prepare.Options{}, addW(pb.Node("Constant", nil, []string{"w"}, pb.TensorAttribute("value", pb.Floats("", []int64{1}, 7))))...)
	if w, _ := constant(t, g, "w"); !slices.Equal(w, []float32{7}) || !slices.Equal(ops(g), []string{"Add"}) {
		t.Errorf("w = %v with nodes %v, want [7] with Add", w, ops(g))
	}
}

func TestConstantOfAnyTypeKeepsItsElements(t *testing.T) {
	double := pb.Join(pb.Varint(2, 11), pb.Bytes(10, []byte("8 bytes."))) // double_data
	out, err := prepare.Model(pb.Model(addW(pb.Node("Constant", nil, []string{"w"}, pb.TensorAttribute("value", double)))...), prepare.Options{})
	if err != nil || !bytes.Contains(out, pb.Bytes(10, []byte("8 bytes."))) {
		t.Errorf("Model() lost the elements of a double constant (error %v)", err)
	}
}

func TestPReluBecomesOperatorsWithoutBranches(t *testing.T) {
	for _, slopes := range [][]float32{{0.25, -0.5, 1}, {0.25, -0.5, 1.5}} {
		g := prepared(t, prepare.Options{},
			pb.Initialiser(pb.Floats("a", []int64{3, 1, 1}, slopes...)),
			pb.Node("PRelu", []string{"x", "a"}, []string{"y"}),
			pb.Input("x", 1, 3, 1, 1), pb.Output("y", 1, 3, 1, 1))
		x := []float32{-3, -1e-6, 0, 1e-6, 5}
		for c, a := range slopes {
			for _, v := range x {
				want := v
				if v < 0 {
					want = a * v
				}
				if got := evaluate(t, g, v, c); math.Abs(float64(got-want)) > 1e-6*math.Abs(float64(v)) {
					t.Errorf("PRelu(%v) with slope %v = %v by %v, want %v", v, a, got, ops(g), want)
				}
			}
		}
	}
}

// evaluate runs a graph of Relu, Mul and Add on one element of channel c.
func evaluate(t *testing.T, g graph.Graph, x float32, c int) float32 {
	t.Helper()
	values := map[string]float32{"x": x}
	for _, i := range g.Initialisers {
		v, err := i.Floats()
		if err != nil {
			t.Fatal(err)
		}
		values[i.Name] = v[c]
	}
	for _, n := range g.Nodes {
		in := make([]float32, len(n.Inputs))
		for k, name := range n.Inputs {
			v, ok := values[name]
			if !ok {
				t.Fatalf("%s reads %q, which nothing defines before", n.Op, name)
			}
			in[k] = v
		}
		switch n.Op {
		case "Relu":
			values[n.Outputs[0]] = max(in[0], 0)
		case "Mul":
			values[n.Outputs[0]] = in[0] * in[1]
		case "Add":
			values[n.Outputs[0]] = in[0] + in[1]
		default:
			t.Fatalf("unexpected operator %s", n.Op)
		}
	}
	return values["y"]
}

func TestNewNamesDoNotMeetOldOnes(t *testing.T) {
	g := prepared(t, prepare.Options{},
		pb.Initialiser(pb.Floats("a", nil, 0.5)), pb.Initialiser(pb.Floats("y_gain", nil, 9)),
		pb.Node("PRelu", []string{"x", "a"}, []string{"y"}),
		pb.Node("Add", []string{"y", "y_gain"}, []string{"y_bent"}),
		pb.Input("x", 1), pb.Output("y_bent", 1))
	seen := map[string]bool{}
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			if seen[out] {
				t.Errorf("two nodes define %q", out)
			}
			seen[out] = true
		}
	}
	if v, _ := constant(t, g, "y_gain"); v[0] != 9 {
		t.Errorf("y_gain = %v, want the 9 it had", v)
	}
}

func TestInputsThatNothingReadsGo(t *testing.T) {
	g := prepared(t, prepare.Options{}, append(addW(pb.Initialiser(pb.Floats("w", nil, 1))), pb.Input("w", 1), pb.Input("old_weight", 3))...)
	if len(g.Inputs) != 1 || g.Inputs[0].Name != "x" {
		t.Errorf("inputs = %v, want x alone", g.Inputs)
	}
}

func TestFreeSizeOpensHeightAndWidth(t *testing.T) {
	out, err := prepare.Model(pb.Model(pb.Node("Relu", []string{"x"}, []string{"y"}), pb.Input("x", 1, 3, 640, 641), pb.Output("y", 1, 6400, 4)), prepare.Options{FreeSize: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range [][]byte{pb.Varint(1, 640), pb.Varint(1, 641), pb.Varint(1, 6400)} {
		if bytes.Contains(out, gone) {
			t.Errorf("a dimension of the fixed size remains: %x", gone)
		}
	}
	for _, name := range []string{"h", "w", "n_y"} {
		if !bytes.Contains(out, pb.Bytes(1, pb.Bytes(2, []byte(name)))) {
			t.Errorf("no free dimension %q", name)
		}
	}
	if _, err := prepare.Model(pb.Model(pb.Input("x", 1), pb.Node("Relu", []string{"x"}, []string{"y"}), pb.Output("y", 1)), prepare.Options{FreeSize: true}); err == nil {
		t.Error("Model() frees the height of a vector")
	}
}

func TestGraphsWithinNodesAreRefused(t *testing.T) {
	branch := pb.Bytes(5, pb.Join(pb.Bytes(1, []byte("then_branch")), pb.Bytes(6, nil)))
	if _, err := prepare.Model(pb.Model(pb.Node("If", []string{"c"}, []string{"y"}, branch)), prepare.Options{}); err == nil {
		t.Error("Model() rewrites a graph whose branches may read what it removes")
	}
}

func TestPreparingTwiceGivesTheSameBytes(t *testing.T) {
	source := pb.Model(addW(
		pb.Initialiser(pb.Int8s("q", []int64{1}, 3)), pb.Initialiser(pb.Floats("s", nil, 0.5)), pb.Initialiser(pb.Floats("a", nil, 0.5)),
		pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"}),
		pb.Node("PRelu", []string{"x", "a"}, []string{"p"}))...)
	first, err := prepare.Model(source, prepare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, err := prepare.Model(source, prepare.Options{}); err != nil || !bytes.Equal(again, first) {
			t.Fatalf("Model() differs from its first result (error %v)", err)
		}
	}
}

func FuzzModel(f *testing.F) {
	f.Add(pb.Model(addW(
		pb.Initialiser(pb.Int8s("q", []int64{2, 2}, 1, 2, 3, 4)), pb.Initialiser(pb.Floats("s", []int64{2, 1}, 1, 2)),
		pb.Node("DequantizeLinear", []string{"q", "s"}, []string{"w"}, pb.Int("block_size", 2)))...), true)
	f.Add(pb.Model(addW(pb.Initialiser(pb.Floats("a", nil, 0.5)), pb.Node("PRelu", []string{"x", "a"}, []string{"w"}))...), false)
	f.Fuzz(func(t *testing.T, data []byte, free bool) {
		out, err := prepare.Model(data, prepare.Options{FreeSize: free})
		if err != nil {
			return
		}
		if _, err := graph.Parse(out); err != nil {
			t.Errorf("Parse(Model(%x)) = %v", data, err)
		}
	})
}
