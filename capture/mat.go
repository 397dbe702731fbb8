package capture

import (
	"errors"
	"runtime"
	"unsafe"

	"gocv.io/x/gocv"
)

var errOpenCV = errors.New("OpenCV left no picture")

// A loan is an OpenCV view of Go memory, pinned until Close: OpenCV reads and
// writes the frame's own bytes and nothing is copied across the border.
type loan struct {
	gocv.Mat
	pin runtime.Pinner
}

// borrow returns a view of f, which must be valid.
func borrow(f *Frame) (*loan, error) {
	l := new(loan)
	l.pin.Pin(unsafe.SliceData(f.Pixels))
	mat, err := gocv.NewMatFromBytes(f.Height, f.Width, gocv.MatTypeCV8UC3, f.Pixels)
	if err != nil {
		l.pin.Unpin()
		return nil, err
	}
	l.Mat = mat
	return l, nil
}

// Close ends the loan; the frame stays with its owner.
func (l *loan) Close() {
	l.Mat.Close()
	l.pin.Unpin()
}

// fill lets OpenCV write a picture, expected to be width×height, into f.
// OpenCV keeps to the offered memory when the picture turns out to be of that
// size and 3×8 bit, and takes memory of its own otherwise; only then is it copied.
func fill(f *Frame, width, height int, write func(to *gocv.Mat) error) error {
	f.resize(width, height)
	l, err := borrow(f)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := write(&l.Mat); err != nil {
		return err
	}
	if l.Empty() || l.Type() != gocv.MatTypeCV8UC3 {
		return errOpenCV
	}
	pixels, err := l.DataPtrUint8()
	if err != nil {
		return err
	}
	if unsafe.SliceData(pixels) == unsafe.SliceData(f.Pixels) && l.Cols() == width && l.Rows() == height {
		return nil
	}
	f.resize(l.Cols(), l.Rows())
	copy(f.Pixels, pixels)
	return nil
}
