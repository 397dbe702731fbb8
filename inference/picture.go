package inference

import (
	"fmt"
	"math"
)

// A Picture hands out what of it a task needs, at the size it needs. Image does
// so in plain Go; whoever has a faster library brings it along.
type Picture interface {
	// Image is the whole picture.
	Image() Image
	// Fit is the picture reduced, by averaging areas, so that its longer side
	// is at most maxSide; a picture that already fits comes back as it is.
	Fit(maxSide int) (Image, error)
	// Cut is the part with the given corner and size, which is at most four
	// times the picture's longer side, brought to width×height:
	// by averaging areas where it shrinks, bilinearly otherwise. What of it
	// lies outside the picture is black.
	Cut(x, y, partWidth, partHeight, width, height int) (Image, error)
}

// Image makes an image its own Picture.
func (m Image) Image() Image { return m }

// Fit implements Picture.
func (m Image) Fit(maxSide int) (Image, error) {
	if err := m.check(); err != nil {
		return Image{}, err
	}
	k := float64(maxSide) / float64(max(m.Width, m.Height))
	if maxSide <= 0 || k >= 1 {
		return m, nil
	}
	w, h := max(1, int(math.Round(float64(m.Width)*k))), max(1, int(math.Round(float64(m.Height)*k)))
	return m.resampled(Box{Width: float64(m.Width), Height: float64(m.Height)}, w, h, true), nil
}

// Cut implements Picture.
func (m Image) Cut(x, y, partWidth, partHeight, width, height int) (Image, error) {
	if err := m.check(); err != nil {
		return Image{}, err
	}
	most := 4 * max(m.Width, m.Height)
	if partWidth <= 0 || partHeight <= 0 || partWidth > most || partHeight > most || width <= 0 || height <= 0 {
		return Image{}, fmt.Errorf("inference: a part of %d×%d pixels cannot become %d×%d", partWidth, partHeight, width, height)
	}
	return m.resampled(Box{float64(x), float64(y), float64(partWidth), float64(partHeight)}, width, height, false), nil
}

// resampled brings a part of the image to size: each output averages the pixels
// that it covers, at least a bilinear sample. Outside the image it is black, or
// its edge where that is to be repeated.
func (m Image) resampled(part Box, width, height int, repeat bool) Image {
	stepX, stepY := part.Width/float64(width), part.Height/float64(height)
	taps := min(max(int(max(stepX, stepY)+0.5), 1), 16) // a side
	values := make([]float32, 3*width*height*taps*taps)
	fine := bgr(values)
	if repeat {
		stretch(m, part, width*taps, height*taps, fine)
	} else {
		fx, fy := stepX/float64(taps), stepY/float64(taps)
		warp(m, affine{a: fx, c: part.X + fx/2 - 0.5, e: fy, f: part.Y + fy/2 - 0.5}, width*taps, height*taps, fine)
	}
	out := Image{Pixels: make([]byte, 3*width*height), Width: width, Height: height}
	for y := range height {
		for x := range width {
			for c := range fine {
				var sum float32
				for v := range taps {
					for _, value := range fine[c][((y*taps+v)*width+x)*taps:][:taps] {
						sum += value
					}
				}
				out.Pixels[3*(y*width+x)+c] = byte(sum/float32(taps*taps) + 0.5)
			}
		}
	}
	return out
}
