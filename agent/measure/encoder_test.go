package measure

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/inference/onnx"
	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

// BenchmarkEncoderPrepared runs the face encoder as models prepares it. Compare
// with BenchmarkEncoderPackaged: preparation shall at least halve its time.
func BenchmarkEncoderPrepared(b *testing.B) {
	model, err := modelstest.Open(b).Load(models.FaceEncoder)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkEncoder(b, model.Entry, model.ONNX)
}

// BenchmarkEncoderPackaged runs the face encoder as its package brings it.
func BenchmarkEncoderPackaged(b *testing.B) {
	entry, err := modelstest.Open(b).Manifest().Entry(models.FaceEncoder)
	if err != nil {
		b.Fatal(err)
	}
	wheel := filepath.Join(modelstest.Root(b), ".cache", "wheels", fmt.Sprintf("%s-%s-*.whl", entry.Source.Name, entry.Source.Version))
	found, err := filepath.Glob(wheel)
	if err != nil || len(found) != 1 {
		b.Skipf("no wheel %s: run `make setup` first", wheel)
	}
	benchmarkEncoder(b, entry, member(b, found[0], entry.Source.Path))
}

// member reads a file of a wheel, which is a ZIP archive (PEP 427).
func member(b *testing.B, wheel, name string) []byte {
	b.Helper()
	z, err := zip.OpenReader(wheel)
	if err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	f, err := z.Open(path.Clean(name))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// benchmarkEncoder runs a model on one thread over a real face: the runtime's
// PRelu branches by element, so that on a flat picture it seems twice as fast.
func benchmarkEncoder(b *testing.B, entry models.Entry, weights []byte) {
	crop := faceCrop(b)
	library, err := modelstest.Open(b).Runtime()
	if err != nil {
		b.Fatal(err)
	}
	env, err := onnx.Open(library)
	if err != nil {
		b.Fatal(err)
	}
	defer env.Close()
	session, err := env.Load(weights, onnx.Spec{
		Name: entry.Name, Inputs: []string{entry.Inputs[0].Name}, Outputs: []string{entry.Outputs[0].Name}, Threads: 1,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	runner, err := session.NewRunner([][]int64{{1, 3, inference.AlignedSize, inference.AlignedSize}}, [][]int64{{1, inference.EmbeddingSize}})
	if err != nil {
		b.Fatal(err)
	}
	defer runner.Close()
	copy(runner.Input(0), crop)
	for b.Loop() {
		if err := runner.Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// faceCrop is a face of a demonstration photo as the encoder sees it: RGB planes
// of 112×112. The face is upright, so cutting it out stands for aligning it.
func faceCrop(b *testing.B) []float32 {
	b.Helper()
	data, err := os.ReadFile(modelstest.DemoPhoto(b, 1))
	if err != nil {
		b.Fatal(err)
	}
	frame, err := capture.Decode(data, capture.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	// The left person's face, found by the detector at (409, 354), 187×245.
	const size, left, top, side = inference.AlignedSize, 380, 355, 245
	crop := make([]float32, 3*size*size)
	for y := range size {
		for x := range size {
			at := 3 * ((top+y*side/size)*frame.Width + left + x*side/size)
			for c := range 3 {
				crop[c*size*size+y*size+x] = float32(frame.Pixels[at+2-c])
			}
		}
	}
	return crop
}
