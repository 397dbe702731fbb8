package inference

import (
	"math"

	"github.com/edgeverify/edgeverify/inference/onnx"
)

// Presentation is what passive presentation attack detection (PAD) sees in one
// picture: probabilities that sum to 1. It sees prints and screens; it is
// blind to masks and to digital injection.
type Presentation struct {
	BonaFide, Print, Screen float64
}

const (
	padSize = 128
	// padMargin is the side of the crop over the longer side of the face's box:
	// the network judges the surroundings too and is useless without them.
	padMargin = 2.7
)

// PAD is the passive presentation attack detector (1×3×128×128, BGR, 0–255;
// classes bona fide, print, screen).
type PAD struct{ *pool }

func newPAD(s *onnx.Session) *PAD {
	return &PAD{newPool(s, [][]int64{{1, 3, padSize, padSize}}, [][]int64{{1, 3}})}
}

// Examine judges the face in box. The picture must show its surroundings.
func (p *PAD) Examine(img Image, box Box, m *Meter) (Presentation, error) {
	if err := img.check(); err != nil {
		return Presentation{}, err
	}
	crop := surroundings(box, img)
	var out Presentation
	err := p.run(m,
		func(r *onnx.Runner) {
			stretch(img, crop, padSize, padSize, bgr(r.Input(0)))
		},
		func(r *onnx.Runner) {
			q := softmax(r.Output(0))
			out = Presentation{BonaFide: q[0], Print: q[1], Screen: q[2]}
		})
	return out, err
}

// surroundings is the square around a face that PAD judges: margin times the
// longer side of its box, or as much as the image holds, moved inside it.
func surroundings(box Box, img Image) Box {
	w, h := float64(img.Width), float64(img.Height)
	side := math.Round(min(padMargin*max(box.Width, box.Height), w, h))
	at := func(centre, most float64) float64 { return min(max(math.Round(centre-side/2), 0), most-side) }
	return Box{at(box.X+box.Width/2, w), at(box.Y+box.Height/2, h), side, side}
}

// softmax turns logits into probabilities that sum to 1.
func softmax(logits []float32) []float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	var sum float64
	q := make([]float64, len(logits))
	for i, v := range logits {
		q[i] = math.Exp(float64(v) - top)
		sum += q[i]
	}
	for i := range q {
		q[i] /= sum
	}
	return q
}
