package examine

import (
	stdimage "image"
	"sync"

	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// picture lets inference see a frame, reduced and cut by the camera library. It
// halves the frame once for all looks that need less than half of it. It is for
// one goroutine at a time, and for one examination, which releases it.
type picture struct {
	frame *capture.Frame
	half  *capture.Frame // of frame; nil until it is needed
	spare *sync.Pool     // of *capture.Frame, whose memory serves again
}

// NewPicture lets inference see a frame as an examination does.
func NewPicture(f *capture.Frame) inference.Picture {
	return &picture{frame: f, spare: new(sync.Pool)}
}

// picture is a frame for one examination.
func (e *examination) picture(f *capture.Frame) *picture {
	p := &picture{frame: f, spare: &e.examiner.spare}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pictures = append(e.pictures, p)
	return p
}

// release hands the memory of all pictures on; nothing may look at them any more.
func (e *examination) release() {
	for _, p := range e.pictures {
		if p.half != nil {
			p.spare.Put(p.half)
		}
	}
}

// Image implements inference.Picture.
func (p *picture) Image() inference.Image { return image(p.frame) }

// Fit implements inference.Picture.
func (p *picture) Fit(maxSide int) (inference.Image, error) {
	longer := max(p.frame.Width, p.frame.Height)
	if longer <= maxSide {
		return image(p.frame), nil
	}
	from := p.frame
	if longer > 2*maxSide {
		var err error
		if from, err = p.halved(); err != nil {
			return inference.Image{}, err
		}
	}
	var small capture.Frame
	if _, err := from.Fit(maxSide, &small); err != nil {
		return inference.Image{}, err
	}
	return image(&small), nil
}

// Cut implements inference.Picture. Parts at even positions are cut from the
// halved frame where they shrink by more than two, which gives the same pixels.
func (p *picture) Cut(x, y, partWidth, partHeight, width, height int) (inference.Image, error) {
	from, part := p.frame, stdimage.Rect(x, y, x+partWidth, y+partHeight)
	if even(x, y, partWidth, partHeight) && partWidth > 2*width && partHeight > 2*height {
		var err error
		if from, err = p.halved(); err != nil {
			return inference.Image{}, err
		}
		part = stdimage.Rect(x/2, y/2, (x+partWidth)/2, (y+partHeight)/2)
	}
	var out capture.Frame
	if err := from.Cut(part, width, height, &out); err != nil {
		return inference.Image{}, err
	}
	return image(&out), nil
}

func even(numbers ...int) bool {
	for _, n := range numbers {
		if n%2 != 0 {
			return false
		}
	}
	return true
}

func (p *picture) halved() (*capture.Frame, error) {
	if p.half == nil {
		half, ok := p.spare.Get().(*capture.Frame)
		if !ok {
			half = new(capture.Frame)
		}
		w, h := p.frame.Width/2, p.frame.Height/2
		if err := p.frame.Cut(stdimage.Rect(0, 0, 2*w, 2*h), w, h, half); err != nil {
			return nil, err
		}
		p.half = half
	}
	return p.half, nil
}

// image is a frame as inference sees it, sharing its pixels.
func image(f *capture.Frame) inference.Image {
	return inference.Image{Pixels: f.Pixels, Width: f.Width, Height: f.Height}
}
