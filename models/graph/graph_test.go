package graph_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/edgeverify/edgeverify/models/graph"
	pb "github.com/edgeverify/edgeverify/models/internal/onnxtest"
)

// small is a graph with a constant, a node with an attribute, and fields that the reader
// does not know.
func small() []byte {
	return pb.Join(pb.Model(
		pb.Node("Softmax", []string{"x"}, []string{"y"}, pb.Int("axis", 1)),
		pb.Bytes(2, []byte("main")),
		pb.Initialiser(pb.Floats("w", []int64{2}, 1, 2)),
		pb.Input("x", 1, 2), pb.Output("y", 1, 2),
		pb.Bytes(16, pb.Join(pb.Bytes(1, []byte("key")), pb.Bytes(2, []byte("value")))),
	), pb.Bytes(14, pb.Join(pb.Bytes(1, []byte("character")), pb.Bytes(2, []byte("abc")))), pb.Bytes(99, []byte("of the future")))
}

func TestParseReadsWhatRewritesNeed(t *testing.T) {
	m, err := graph.Parse(small())
	if err != nil {
		t.Fatal(err)
	}
	g := m.Graph
	if len(g.Nodes) != 1 || g.Nodes[0].Op != "Softmax" || !slices.Equal(g.Nodes[0].Inputs, []string{"x"}) {
		t.Errorf("Parse(small).Graph.Nodes = %+v, want one Softmax of x", g.Nodes)
	}
	if axis, err := g.Nodes[0].Int("axis", -7); axis != 1 || err != nil {
		t.Errorf(`Int("axis") = %d, %v, want 1`, axis, err)
	}
	if other, err := g.Nodes[0].Int("block_size", -7); other != -7 || err != nil {
		t.Errorf(`Int("block_size") = %d, %v, want the default -7`, other, err)
	}
	if w, err := g.Initialisers[0].Floats(); !slices.Equal(w, []float32{1, 2}) || err != nil {
		t.Errorf("Floats() = %v, %v, want [1 2]", w, err)
	}
}

func TestMarshalKeepsEveryFieldItDoesNotKnow(t *testing.T) {
	m, err := graph.Parse(small())
	if err != nil {
		t.Fatal(err)
	}
	out := m.Marshal()
	for _, field := range []string{"of the future", "character", "main", "value"} {
		if !bytes.Contains(out, []byte(field)) {
			t.Errorf("Marshal() lost the field with %q", field)
		}
	}
	again, err := graph.Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Marshal(), out) {
		t.Error("Marshal(Parse(Marshal())) differs from Marshal()")
	}
}

func TestEveryCutOfAModelIsRefusedOrHarmless(t *testing.T) {
	whole := pb.Model(pb.Input("x", 1), pb.Output("y", 1), pb.Node("Relu", []string{"x"}, []string{"y"}))
	for n := range len(whole) {
		if _, err := graph.Parse(whole[:n]); !errors.Is(err, graph.ErrMalformed) {
			t.Errorf("Parse(first %d of %d bytes) = %v, want ErrMalformed", n, len(whole), err)
		}
	}
}

func TestCheckRefusesWhatLeadsOutOfTheFile(t *testing.T) {
	external := pb.Join(pb.Floats("w", []int64{1}, 1), pb.Bytes(13, pb.Join(pb.Bytes(1, []byte("location")), pb.Bytes(2, []byte("/etc/passwd")))))
	located := pb.Join(pb.Floats("w", []int64{1}, 1), pb.Varint(14, 1))
	custom := pb.Node("Relu", []string{"x"}, []string{"y"}, pb.Bytes(7, []byte("com.example")))
	inner := func(fields ...[]byte) []byte { // a graph in an attribute of an If node
		return pb.Node("If", []string{"c"}, []string{"y"}, pb.Bytes(5, pb.Join(pb.Bytes(1, []byte("then_branch")), pb.Bytes(6, pb.Join(fields...)))))
	}
	deep := pb.Node("Relu", nil, nil)
	for range 20 {
		deep = inner(deep)
	}
	tests := map[string]struct {
		model []byte
		want  error
	}{
		"external data":              {pb.Model(pb.Initialiser(external)), graph.ErrExternalData},
		"external location":          {pb.Model(pb.Initialiser(located)), graph.ErrExternalData},
		"external data in attribute": {pb.Model(pb.Node("Constant", nil, []string{"w"}, pb.TensorAttribute("value", external))), graph.ErrExternalData},
		"external data in branch":    {pb.Model(inner(pb.Initialiser(external))), graph.ErrExternalData},
		"external sparse values":     {pb.Model(pb.Bytes(15, pb.Bytes(1, external))), graph.ErrExternalData},
		"custom operator":            {pb.Model(custom), graph.ErrCustomDomain},
		"custom operator in branch":  {pb.Model(inner(custom)), graph.ErrCustomDomain},
		"custom operator set":        {pb.Join(pb.Model(), pb.Bytes(8, pb.Bytes(1, []byte("com.microsoft")))), graph.ErrCustomDomain},
		"function":                   {pb.Join(pb.Model(), pb.Bytes(25, nil)), graph.ErrFunction},
		"training graph":             {pb.Join(pb.Model(), pb.Bytes(20, nil)), graph.ErrFunction},
		"two graphs":                 {pb.Join(pb.Model(), pb.Model()), graph.ErrMalformed},
		"no graph":                   {pb.Varint(1, 10), graph.ErrMalformed},
		"branches nested too deeply": {pb.Model(deep), graph.ErrMalformed},
		"not protobuf":               {[]byte("\xff\xff\xff"), graph.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := graph.Check(tt.model); !errors.Is(err, tt.want) {
				t.Errorf("Check() = %v, want %v", err, tt.want)
			}
		})
	}
	if err := graph.Check(small()); err != nil {
		t.Errorf("Check(small) = %v, want nil", err)
	}
}

func TestTensorRefusesContentThatDoesNotFitItsShape(t *testing.T) {
	for name, raw := range map[string][]byte{
		"too short":         pb.Tensor("w", pb.Float32, []int64{3}, make([]byte, 8)),
		"too long":          pb.Tensor("w", pb.Float32, []int64{1}, make([]byte, 8)),
		"negative":          pb.Tensor("w", pb.Float32, []int64{-1}, make([]byte, 4)),
		"huge":              pb.Tensor("w", pb.Float32, []int64{1 << 40, 1 << 40}, nil),
		"other type":        pb.Tensor("w", 11, []int64{1}, make([]byte, 8)),
		"elements of a bit": pb.Tensor("w", pb.Float32, []int64{1}, make([]byte, 3)),
	} {
		tensor, err := graph.ParseTensor(raw)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := tensor.Floats(); err == nil {
			t.Errorf("%s: Floats() = %v, want an error", name, v)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small())
	f.Add(pb.Model(pb.Initialiser(pb.Int64s("shape", []int64{2}, 1, -1)), pb.Node("Constant", nil, []string{"c"}, pb.TensorAttribute("value", pb.Int8s("", nil, 3)))))
	f.Add([]byte{0x3a, 0x02, 0x2a, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		checked := graph.Check(data)
		m, err := graph.Parse(data)
		if err != nil {
			return
		}
		for _, i := range m.Graph.Initialisers {
			_, _ = i.Floats()
			_, _ = i.Ints()
		}
		out := m.Marshal()
		again, err := graph.Parse(out)
		if err != nil {
			t.Fatalf("Parse(Marshal(Parse(%x))) = %v", data, err)
		}
		if !bytes.Equal(again.Marshal(), out) {
			t.Errorf("Marshal is not stable for %x", data)
		}
		if checked == nil {
			if err := graph.Check(out); err != nil {
				t.Errorf("Check accepts %x and refuses what Marshal makes of it: %v", data, err)
			}
		}
	})
}
