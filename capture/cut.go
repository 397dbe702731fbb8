package capture

import (
	"fmt"
	"image"
	"image/color"

	"gocv.io/x/gocv"
)

// Cut writes into into the part of f, brought to width×height pixels as Fit
// does; a part that is smaller is enlarged bilinearly. What of part lies outside
// of f is black. A side of part is at most four times the longer side of f. It
// reuses into.Pixels.
func (f *Frame) Cut(part image.Rectangle, width, height int, into *Frame) error {
	if err := f.valid(); err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	most := 4 * max(f.Width, f.Height)
	if part.Empty() || part.Dx() > most || part.Dy() > most || width <= 0 || height <= 0 || into == nil || into == f {
		return fmt.Errorf("cut: %v of %d×%d cannot become %d×%d pixels of another frame", part, f.Width, f.Height, width, height)
	}
	var err error
	switch inner := part.Intersect(f.all()); {
	case inner == part:
		err = f.shrink(part, width, height, into)
	case inner.Empty():
		into.resize(width, height)
		clear(into.Pixels)
	default:
		err = f.shrinkFramed(part, inner, width, height, into)
	}
	if err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	into.copyMeta(f)
	return nil
}

// shrinkFramed is shrink of part, of which only inner lies within f.
func (f *Frame) shrinkFramed(part, inner image.Rectangle, width, height int, into *Frame) error {
	from, err := borrow(f)
	if err != nil {
		return err
	}
	defer from.Close()
	seen := from.Region(inner)
	defer seen.Close()
	framed := gocv.NewMat()
	defer framed.Close()
	err = gocv.CopyMakeBorder(seen, &framed, inner.Min.Y-part.Min.Y, part.Max.Y-inner.Max.Y,
		inner.Min.X-part.Min.X, part.Max.X-inner.Max.X, gocv.BorderConstant, color.RGBA{})
	if err != nil {
		return err
	}
	return shrinkTo(framed, width, height, into)
}
