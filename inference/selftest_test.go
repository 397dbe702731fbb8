package inference_test

import (
	"testing"

	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

// engine opens the prepared models for a test.
func engine(t testing.TB) *inference.Engine {
	t.Helper()
	e, err := inference.Open(modelstest.Open(t), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestEveryModelComputesItsGoldenVector(t *testing.T) {
	e := engine(t)
	for _, m := range modelstest.Open(t).Manifest().Models {
		if err := e.SelfTest(m.Name); err != nil {
			t.Errorf("SelfTest(%s) = %v, want nil", m.Name, err)
		}
	}
}
