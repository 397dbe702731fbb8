package capture

import (
	"fmt"
	"image"
)

// Cut writes into into the part of f, brought to width×height pixels: by area
// averaging where it shrinks, bilinearly otherwise. What of part lies outside of
// f is black. It reuses into.Pixels.
func (f *Frame) Cut(part image.Rectangle, width, height int, into *Frame) error {
	if err := f.valid(); err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	const most = 1 << 15 // a part is near the picture, not leagues beyond it
	if part.Empty() || part.Dx() > most || part.Dy() > most || width <= 0 || height <= 0 || into == nil || into == f {
		return fmt.Errorf("cut: %v cannot become %d×%d pixels of another frame", part, width, height)
	}
	from := f
	if !part.In(f.all()) {
		from = f.framed(part)
		part = from.all()
	}
	if err := from.shrink(part, width, height, into); err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	into.copyMeta(f)
	return nil
}

// framed copies part of f onto black.
func (f *Frame) framed(part image.Rectangle) *Frame {
	out := &Frame{Pixels: make([]byte, 3*part.Dx()*part.Dy()), Width: part.Dx(), Height: part.Dy()}
	inner := part.Intersect(f.all())
	for y := inner.Min.Y; y < inner.Max.Y; y++ {
		copy(out.Pixels[3*((y-part.Min.Y)*out.Width+inner.Min.X-part.Min.X):],
			f.Pixels[3*(y*f.Width+inner.Min.X):3*(y*f.Width+inner.Max.X)])
	}
	return out
}
