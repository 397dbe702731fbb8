// Package inference turns pictures into measurements: where faces are, how
// alike two of them are, whether a face looks presented rather than present,
// where it looks. Each task owns its preprocessing and its decoding and runs
// over inference/onnx; their conventions (channel order, crop margin, class
// order) are those of the model manifest and are pinned by golden tests.
//
// It knows no camera, no verification and no threshold: a score leaves here as
// a number, and what it means is decided elsewhere. Every task is safe for
// concurrent use.
package inference

import (
	"fmt"
	"time"
)

// Image is a picture in memory: 8-bit BGR, interleaved, row-major,
// 3·Width·Height bytes. Tasks only read it.
type Image struct {
	Pixels        []byte
	Width, Height int
}

// check refuses an image whose buffer does not fit its size.
func (m Image) check() error {
	if m.Width <= 0 || m.Height <= 0 || len(m.Pixels) < 3*m.Width*m.Height {
		return fmt.Errorf("inference: %d bytes are no BGR image of %d×%d pixels", len(m.Pixels), m.Width, m.Height)
	}
	return nil
}

// Point is a position in an image in pixels; (0, 0) is the centre of the first one.
type Point struct{ X, Y float64 }

// Box is an upright rectangle in pixels, which may reach over the image's edge.
type Box struct{ X, Y, Width, Height float64 }

// Area is the box's area in square pixels.
func (b Box) Area() float64 { return b.Width * b.Height }

// overlap is the intersection of two boxes over their union, 0 to 1.
func (b Box) overlap(c Box) float64 {
	w := min(b.X+b.Width, c.X+c.Width) - max(b.X, c.X)
	h := min(b.Y+b.Height, c.Y+c.Height) - max(b.Y, c.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (b.Area() + c.Area() - w*h)
}

// around is the box of the same centre with its sides multiplied by k.
func (b Box) around(k float64) Box {
	return Box{b.X - b.Width*(k-1)/2, b.Y - b.Height*(k-1)/2, b.Width * k, b.Height * k}
}

// A Meter adds up the time spent inside the runtime by the calls it is given
// to. A nil Meter is allowed. It is for one goroutine at a time.
type Meter struct{ Run time.Duration }

func (m *Meter) add(d time.Duration) {
	if m != nil {
		m.Run += d
	}
}
