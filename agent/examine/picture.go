package examine

import (
	stdimage "image"

	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// picture lets inference see a frame, reduced and cut by the camera library.
type picture struct{ frame *capture.Frame }

func (p picture) Image() inference.Image { return image(p.frame) }

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

func (p picture) Cut(x, y, partWidth, partHeight, width, height int) (inference.Image, error) {
	var part capture.Frame
	if err := p.frame.Cut(stdimage.Rect(x, y, x+partWidth, y+partHeight), width, height, &part); err != nil {
		return inference.Image{}, err
	}
	return image(&part), nil
}

// image is a frame as inference sees it, sharing its pixels.
func image(f *capture.Frame) inference.Image {
	return inference.Image{Pixels: f.Pixels, Width: f.Width, Height: f.Height}
}
