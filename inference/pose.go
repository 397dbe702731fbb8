package inference

import "github.com/edgeverify/edgeverify/inference/onnx"

// Pose is the direction of a head in degrees; see the signs at Estimate.
type Pose struct{ Yaw, Pitch, Roll float64 }

const (
	poseSize = 224
	poseBins = 66
)

// HeadPose estimates where a head points (1×3×224×224, RGB, ImageNet-
// normalised; yaw, pitch and roll as 66 bins of 3° from −99°).
type HeadPose struct{ *pool }

func newHeadPose(s *onnx.Session) *HeadPose {
	return &HeadPose{newPool(s, [][]int64{{1, 3, poseSize, poseSize}}, [][]int64{{1, poseBins}, {1, poseBins}, {1, poseBins}})}
}

// Estimate measures the pose of the face in box. Yaw is positive where the nose
// points to the picture's left, pitch is negative where the head looks down
// (frontal faces read about −10), roll is positive where the head is turned
// clockwise in the picture; roll is biased and better taken from the eyes.
func (p *HeadPose) Estimate(img Image, box Box, m *Meter) (Pose, error) {
	if err := img.check(); err != nil {
		return Pose{}, err
	}
	crop := clipped(box.around(1.5), img)
	var out Pose
	err := p.run(m,
		func(r *onnx.Runner) {
			in := rgb(r.Input(0))
			stretch(img, crop, poseSize, poseSize, in)
			for c, norm := range [3][2]float32{{0.406, 0.225}, {0.456, 0.224}, {0.485, 0.229}} { // blue, green, red
				scale, shift := 1/(255*norm[1]), -norm[0]/norm[1]
				for i, v := range in[c] {
					in[c][i] = v*scale + shift
				}
			}
		},
		func(r *onnx.Runner) {
			out = Pose{degrees(r.Output(0)), degrees(r.Output(1)), degrees(r.Output(2))}
		})
	return out, err
}

// degrees is the expected value of a distribution over 3° bins.
func degrees(logits []float32) float64 {
	var sum float64
	for i, q := range softmax(logits) {
		sum += float64(i) * q
	}
	return sum*3 - 99
}

// clipped is the part of box that lies in the image, at least one pixel.
func clipped(box Box, img Image) Box {
	x0, y0 := min(max(box.X, 0), float64(img.Width-1)), min(max(box.Y, 0), float64(img.Height-1))
	x1, y1 := min(box.X+box.Width, float64(img.Width)), min(box.Y+box.Height, float64(img.Height))
	return Box{x0, y0, max(x1-x0, 1), max(y1-y0, 1)}
}
