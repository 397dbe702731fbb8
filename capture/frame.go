package capture

import (
	"errors"
	"fmt"
	"image"
	"math"
	"time"

	"gocv.io/x/gocv"
)

// ErrFrame is returned for a Frame whose pixels do not match its dimensions.
var ErrFrame = errors.New("not a valid frame")

// A Frame is one picture in Go memory.
type Frame struct {
	// Pixels holds 3*Width*Height bytes, row by row from the top left, each
	// pixel as blue, green, red with 0 = dark and 255 = bright.
	Pixels []byte
	Width  int
	Height int

	// Sequence counts the frames a source has delivered, from 1. A gap means
	// that frames were dropped in favour of newer ones.
	Sequence uint64
	// Mono is the time of the picture since its source was opened: by the
	// monotonic clock for a live source, by the file's own timestamps otherwise.
	Mono time.Duration
	// Wall is the device's clock when the picture arrived. It may be wrong.
	Wall time.Time
	// Source says where the picture came from.
	Source Identity
}

func (f *Frame) valid() error {
	switch {
	case f == nil:
		return fmt.Errorf("%w: nil", ErrFrame)
	case f.Width <= 0 || f.Height <= 0 || f.Width > math.MaxInt32 || f.Height > math.MaxInt32:
		return fmt.Errorf("%w: %d×%d pixels", ErrFrame, f.Width, f.Height)
	case len(f.Pixels) != 3*f.Width*f.Height:
		return fmt.Errorf("%w: %d bytes for %d×%d pixels, want %d",
			ErrFrame, len(f.Pixels), f.Width, f.Height, 3*f.Width*f.Height)
	}
	return nil
}

// resize makes room for width×height pixels, in the old memory where it suffices.
func (f *Frame) resize(width, height int) {
	size := 3 * width * height
	if cap(f.Pixels) < size {
		f.Pixels = make([]byte, size)
	}
	f.Pixels = f.Pixels[:size]
	f.Width, f.Height = width, height
}

// copyMeta gives f everything of from except the picture.
func (f *Frame) copyMeta(from *Frame) {
	f.Sequence, f.Mono, f.Wall, f.Source = from.Sequence, from.Mono, from.Wall, from.Source
}

// Fit writes into into a copy of f whose longer side is at most maxSide pixels,
// shrunk by averaging so that no detail aliases; it never enlarges. It reuses
// into.Pixels and returns the scale: a point (x, y) of f lies at
// (x*scale, y*scale) of into, to within a pixel of rounding.
func (f *Frame) Fit(maxSide int, into *Frame) (scale float64, err error) {
	if err := f.valid(); err != nil {
		return 0, fmt.Errorf("fit: %w", err)
	}
	if maxSide <= 0 || into == nil || into == f {
		return 0, fmt.Errorf("fit: needs a positive side and another frame to write, got side %d", maxSide)
	}
	longer := max(f.Width, f.Height)
	if longer <= maxSide {
		into.resize(f.Width, f.Height)
		copy(into.Pixels, f.Pixels)
		into.copyMeta(f)
		return 1, nil
	}
	scale = float64(maxSide) / float64(longer)
	width := max(1, int(math.Round(float64(f.Width)*scale)))
	height := max(1, int(math.Round(float64(f.Height)*scale)))
	if err := f.shrink(f.all(), width, height, into); err != nil {
		return 0, fmt.Errorf("fit: %w", err)
	}
	into.copyMeta(f)
	return scale, nil
}

func (f *Frame) all() image.Rectangle { return image.Rect(0, 0, f.Width, f.Height) }

// shrink resamples part of f, which lies within it, to width×height. It halves
// as often as it can and leaves less than another half to interpolation: each
// pixel counts as in one area average, at a tenth of the time that OpenCV takes
// for ratios other than two.
func (f *Frame) shrink(part image.Rectangle, width, height int, into *Frame) error {
	from, err := borrow(f)
	if err != nil {
		return err
	}
	defer from.Close()
	source := from.Region(part)
	defer source.Close()
	return shrinkTo(source, width, height, into)
}

// shrinkTo is shrink of a whole picture of OpenCV's, which stays the caller's.
func shrinkTo(whole gocv.Mat, width, height int, into *Frame) error {
	source := whole
	var halves []gocv.Mat
	defer func() {
		for _, m := range halves {
			m.Close()
		}
	}()
	for source.Cols() >= 2*width && source.Rows() >= 2*height {
		half := image.Pt(source.Cols()/2, source.Rows()/2)
		if half == image.Pt(width, height) {
			break
		}
		next, err := halve(source, half)
		halves = append(halves, next)
		if err != nil {
			return err
		}
		source = next
	}
	return fill(into, width, height, func(to *gocv.Mat) error {
		interpolation := gocv.InterpolationLinear
		if source.Cols() >= 2*width || source.Rows() >= 2*height {
			interpolation = gocv.InterpolationArea
		}
		return gocv.Resize(source, to, image.Pt(width, height), 0, 0, interpolation)
	})
}

// halve returns an average over squares of two by two pixels. Of an odd side the
// last row or column is left out, because only the exact half is fast.
func halve(source gocv.Mat, half image.Point) (gocv.Mat, error) {
	even := source.Region(image.Rectangle{Max: half.Mul(2)})
	defer even.Close()
	next := gocv.NewMat()
	return next, gocv.Resize(even, &next, half, 0, 0, gocv.InterpolationArea)
}

// EncodeJPEG returns f as a JPEG of the given quality, 1 to 100.
func EncodeJPEG(f *Frame, quality int) ([]byte, error) {
	if err := f.valid(); err != nil {
		return nil, fmt.Errorf("encode jpeg: %w", err)
	}
	if quality < 1 || quality > 100 {
		return nil, fmt.Errorf("encode jpeg: quality %d is not within 1 to 100", quality)
	}
	mat, err := borrow(f)
	if err != nil {
		return nil, fmt.Errorf("encode jpeg: %w", err)
	}
	defer mat.Close()
	buffer, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, mat.Mat, []int{gocv.IMWriteJpegQuality, quality})
	if buffer != nil {
		defer buffer.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encode jpeg: %w", err)
	}
	return append([]byte(nil), buffer.GetBytes()...), nil
}
