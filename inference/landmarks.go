package inference

import (
	"math"

	"github.com/edgeverify/edgeverify/inference/onnx"
)

// LandmarkCount is how many points outline a face, in the order of the
// iBUG 300-W annotation: jaw 0–16, brows 17–26, nose 27–35, eyes 36–47, mouth 48–67.
const LandmarkCount = 68

const landmarkSize = 64

// Landmarks outlines a face (1×1×64×64, grey, 0–255 divided by 256 → 68 x, y
// relative to the crop).
type Landmarks struct{ *pool }

func newLandmarks(s *onnx.Session) *Landmarks {
	return &Landmarks{newPool(s, [][]int64{{1, 1, landmarkSize, landmarkSize}}, [][]int64{{1, 2 * LandmarkCount}})}
}

// Outline finds the 68 points of the face in box, in pixels of the image.
func (l *Landmarks) Outline(img Image, box Box, m *Meter) ([LandmarkCount]Point, error) {
	var points [LandmarkCount]Point
	if err := img.check(); err != nil {
		return points, err
	}
	crop := clipped(Box{math.Trunc(box.X), math.Trunc(box.Y), math.Trunc(box.Width), math.Trunc(box.Height)}, img)
	err := l.run(m,
		func(r *onnx.Runner) { grey(img, crop, landmarkSize, r.Input(0)) },
		func(r *onnx.Runner) {
			for i := range points {
				x, y := r.Output(0)[2*i], r.Output(0)[2*i+1]
				points[i] = Point{crop.X + float64(x)*crop.Width, crop.Y + float64(y)*crop.Height}
			}
		})
	return points, err
}

// grey fills a size×size tensor with the crop's luminance (ITU-R BT.601) over 256.
func grey(img Image, crop Box, size int, out []float32) {
	scratch := make([]float32, 3*size*size)
	p := bgr(scratch)
	stretch(img, crop, size, size, p)
	for i := range out {
		out[i] = (0.114*p[0][i] + 0.587*p[1][i] + 0.299*p[2][i]) / 256
	}
}
