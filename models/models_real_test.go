package models_test

import (
	"testing"

	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

func TestEveryNamedModelIsDescribedWithAGoldenVector(t *testing.T) {
	m, err := models.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		models.FaceDetector, models.FaceEncoder, models.PAD, models.Landmarks, models.HeadPose, models.EyeState,
		models.TextDetector, models.TextRecogniser, models.TextDirection,
	} {
		e, err := m.Entry(name)
		if err != nil {
			t.Errorf("Entry(%q) = %v", name, err)
		} else if len(e.Golden) == 0 {
			t.Errorf("Entry(%q) has no golden vector", name)
		}
	}
}

func TestEnvironmentNamesTheModelsFolder(t *testing.T) {
	t.Setenv(models.DirEnv, "/somewhere")
	if got := models.DefaultDir(); got != "/somewhere" {
		t.Errorf("DefaultDir() = %q, want /somewhere", got)
	}
}

func TestEveryPreparedModelVerifies(t *testing.T) {
	if err := modelstest.Open(t).Verify(); err != nil {
		t.Errorf("Verify() = %v; run `make setup`", err)
	}
}
