package inference

import (
	"log/slog"
	"math"

	"github.com/edgeverify/edgeverify/inference/onnx"
)

// EmbeddingSize is the length of an Embedding.
const EmbeddingSize = 128

// Embedding describes a face as a unit vector. It is biometric data: it
// prints, logs and formats as a placeholder.
type Embedding [EmbeddingSize]float32

const redacted = "[embedding]"

// String keeps an embedding out of formatted text.
func (Embedding) String() string { return redacted }

// GoString keeps an embedding out of %#v.
func (Embedding) GoString() string { return redacted }

// LogValue keeps an embedding out of logs.
func (Embedding) LogValue() slog.Value { return slog.StringValue(redacted) }

// Compare is the comparison score of two embeddings: their cosine, −1 to 1,
// higher = more alike. It is NaN where one of them is not an embedding.
func Compare(a, b *Embedding) float64 {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	return dot / math.Sqrt(aa*bb)
}

// AlignedSize is the side of the square into which a face is aligned.
const AlignedSize = 112

// template is where the five points of a face belong in the aligned square:
// the positions published with ArcFace, on which SFace was trained as well.
func template() [5]Point {
	return [5]Point{{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}}
}

// Encoder describes aligned faces as embeddings (SFace: 1×3×112×112, RGB,
// 0–255).
type Encoder struct{ *pool }

func newEncoder(s *onnx.Session) *Encoder {
	return &Encoder{newPool(s, [][]int64{{1, 3, AlignedSize, AlignedSize}}, [][]int64{{1, EmbeddingSize}})}
}

// Embed describes the face whose five points are given: the sum of what the
// encoder says of the aligned face and of its mirror image, which lowers the
// false non-match rate, at length 1.
func (e *Encoder) Embed(p Picture, points [5]Point, m *Meter) (Embedding, error) {
	img, to, err := aligned(p, points)
	if err != nil {
		return Embedding{}, err
	}
	var sum Embedding
	face := make([]float32, 3*AlignedSize*AlignedSize)
	warp(img, to, AlignedSize, AlignedSize, rgb(face))
	for _, mirror := range [2]bool{false, true} {
		err := e.run(m,
			func(r *onnx.Runner) {
				copy(r.Input(0), face)
				if mirror {
					flip(r.Input(0), AlignedSize)
				}
			},
			func(r *onnx.Runner) {
				for i, v := range r.Output(0) {
					sum[i] += v
				}
			})
		if err != nil {
			return Embedding{}, err
		}
	}
	return normalise(sum)
}

// Mean describes a face seen several times: the direction of the sum.
func Mean(views []Embedding) (Embedding, error) {
	var sum Embedding
	for _, v := range views {
		for i, x := range v {
			sum[i] += x
		}
	}
	return normalise(sum)
}

// normalise scales a vector to length 1; one without a direction is refused.
func normalise(v Embedding) (Embedding, error) {
	var squares float64
	for _, x := range v {
		squares += float64(x) * float64(x)
	}
	if !(squares > 1e-12) || math.IsInf(squares, 0) {
		return Embedding{}, &onnx.OutputError{Model: "face-encoder", Output: "embedding", Reason: "has no direction"}
	}
	k := float32(1 / math.Sqrt(squares))
	for i := range v {
		v[i] *= k
	}
	return v, nil
}

// flip mirrors every row of a tensor whose rows are width long.
func flip(tensor []float32, width int) {
	for row := 0; row+width <= len(tensor); row += width {
		r := tensor[row : row+width]
		for i, j := 0, width-1; i < j; i, j = i+1, j-1 {
			r[i], r[j] = r[j], r[i]
		}
	}
}
