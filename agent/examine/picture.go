package examine

import (
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// picture lets the detector look at a frame at the size it needs, reduced by
// the camera library.
type picture struct{ frame *capture.Frame }

func (p picture) Size() (width, height int) { return p.frame.Width, p.frame.Height }

func (p picture) Fit(maxSide int) (inference.Image, error) {
	if max(p.frame.Width, p.frame.Height) <= maxSide {
		return image(p.frame), nil
	}
	var small capture.Frame
	if _, err := p.frame.Fit(maxSide, &small); err != nil {
		return inference.Image{}, err
	}
	return image(&small), nil
}

// image is a frame as inference sees it, sharing its pixels.
func image(f *capture.Frame) inference.Image {
	return inference.Image{Pixels: f.Pixels, Width: f.Width, Height: f.Height}
}
