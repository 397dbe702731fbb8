package prepare_test

import (
	"slices"
	"strings"
	"testing"

	pb "github.com/edgeverify/edgeverify/models/internal/onnxtest"
	"github.com/edgeverify/edgeverify/models/prepare"
)

// normalised is a graph whose output a batch normalisation gives.
func normalised(more ...[]byte) [][]byte {
	return append([][]byte{
		pb.Initialiser(pb.Floats("gain", []int64{2}, 1, 1)), pb.Initialiser(pb.Floats("shift", []int64{2}, 0.25, -2)),
		pb.Initialiser(pb.Floats("mean", []int64{2}, 3, 4)), pb.Initialiser(pb.Floats("variance", []int64{2}, 1, 1)),
		pb.Node("BatchNormalization", []string{"x", "gain", "shift", "mean", "variance"}, []string{"y"}),
		pb.Input("x", 1, 2), pb.Output("y", 1, 2),
	}, more...)
}

func TestCentreNegatesTheShiftOfTheEmbeddingAlone(t *testing.T) {
	g := prepared(t, prepare.Options{Centre: true}, normalised()...)
	for name, want := range map[string][]float32{"shift": {-0.25, 2}, "gain": {1, 1}, "mean": {3, 4}} {
		if got, _ := constant(t, g, name); !slices.Equal(got, want) {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func TestCentreRefusesAGraphWithoutSuchAShift(t *testing.T) {
	for name, c := range map[string]struct {
		fields [][]byte
		says   string
	}{
		"another operator":   {[][]byte{pb.Node("Relu", []string{"x"}, []string{"y"}), pb.Input("x", 1), pb.Output("y", 1)}, "Relu"},
		"two outputs":        {normalised(pb.Node("Relu", []string{"y"}, []string{"z"}), pb.Output("z", 1, 2)), "2 outputs"},
		"a shift that moves": {normalised(pb.Node("Add", []string{"x", "shift"}, []string{"w"})), "shift"},
	} {
		_, err := prepare.Model(pb.Model(c.fields...), prepare.Options{Centre: true})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Model() = %v, want an error that says %q", name, err, c.says)
		}
	}
}
