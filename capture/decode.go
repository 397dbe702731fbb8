package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"image/gif"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"gocv.io/x/gocv"
)

// Decode reads one still image from the bytes of a file. The format is told by
// content; size and dimensions are checked before any pixel is decoded. The
// EXIF orientation is applied, sixteen bits become eight, grey becomes colour,
// and transparent parts are put on white.
//
// It returns an *ImageError, which matches ErrImage, for an image that breaks a
// rule. Memory is bounded by 12 bytes for each pixel that limits.MaxPixels
// allows; the one kind of PNG that takes more a pixel may have fewer of them.
func Decode(data []byte, limits Limits) (*Frame, error) {
	f := new(Frame)
	if err := decodeInto(data, limits, f); err != nil {
		return nil, err
	}
	f.Sequence, f.Wall = 1, time.Now()
	f.Source = Identity{Kind: KindImage}
	return f, nil
}

// ReadImage reads an image file as Decode does, and never more of it than the
// limit on bytes.
func ReadImage(path string, limits Limits) (*Frame, error) {
	f := new(Frame)
	if err := readImageInto(path, limits, f); err != nil {
		return nil, err
	}
	f.Sequence, f.Wall = 1, time.Now()
	f.Source = Identity{Kind: KindImage, Name: filepath.Base(path)}
	return f, nil
}

func readImageInto(path string, limits Limits, f *Frame) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("read image: %w", &ImageError{RuleFormat, "it is a folder or a device, not an image file"})
	}
	// The size is only a hint for the buffer: the limit below is what holds when
	// a file grows while it is read.
	maxBytes := limits.withDefaults().MaxBytes
	var data bytes.Buffer
	data.Grow(int(min(info.Size(), maxBytes)) + bytes.MinRead)
	if _, err := data.ReadFrom(io.LimitReader(file, maxBytes+1)); err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	return decodeInto(data.Bytes(), limits, f)
}

func decodeInto(data []byte, limits Limits, f *Frame) error {
	h, err := inspect(data, limits.withDefaults())
	if err != nil {
		return err
	}
	switch {
	case h.format == GIF:
		err = decodeGo(data, h, gif.Decode, f)
	case h.format == PNG && h.alpha:
		// OpenCV drops the alpha channel, and with it shows what was meant to
		// be invisible.
		err = decodeGo(data, h, png.Decode, f)
	default:
		err = decodeOpenCV(data, h, f)
	}
	if err != nil {
		return err
	}
	return f.orient(h.orientation)
}

func decodeOpenCV(data []byte, h header, f *Frame) error {
	var mark [16]byte
	binary.NativeEndian.PutUint64(mark[:], rand.Uint64())
	binary.NativeEndian.PutUint64(mark[8:], rand.Uint64())
	var marked int
	err := fill(f, h.width, h.height, func(to *gocv.Mat) error {
		// OpenCV reports a header that it dislikes by leaving its output as it
		// was. The random mark tells that from a picture.
		marked = copy(f.Pixels, mark[:])
		return gocv.IMDecodeIntoMat(data, gocv.IMReadColor|gocv.IMReadIgnoreOrientation, to)
	})
	if err != nil || f.Width != h.width || f.Height != h.height || bytes.Equal(f.Pixels[:marked], mark[:marked]) {
		return &ImageError{RuleCorrupt, fmt.Sprintf("the %s data is damaged and cannot be decoded", h.format)}
	}
	return nil
}

// decodeGo decodes with the standard library onto white.
func decodeGo(data []byte, h header, decode func(io.Reader) (image.Image, error), f *Frame) error {
	img, err := decode(bytes.NewReader(data))
	if err != nil || img.Bounds().Dx() != h.width || img.Bounds().Dy() != h.height {
		return &ImageError{RuleCorrupt, fmt.Sprintf("the %s data is damaged and cannot be decoded", h.format)}
	}
	f.resize(h.width, h.height)
	// One row at a time keeps the second copy of the picture small.
	row := image.NewRGBA(image.Rect(0, 0, h.width, 1))
	for y := range h.height {
		draw.Draw(row, row.Rect, image.White, image.Point{}, draw.Src)
		draw.Draw(row, row.Rect, img, image.Pt(img.Bounds().Min.X, img.Bounds().Min.Y+y), draw.Over)
		out := f.Pixels[3*h.width*y : 3*h.width*(y+1)]
		for x := range h.width {
			out[3*x], out[3*x+1], out[3*x+2] = row.Pix[4*x+2], row.Pix[4*x+1], row.Pix[4*x]
		}
	}
	return nil
}

// orient turns the picture upright as its EXIF orientation, 1 to 8, asks
// (CIPA DC-008, tag 0x0112).
func (f *Frame) orient(orientation int) error {
	if orientation <= 1 || orientation > 8 {
		return nil
	}
	from, err := borrow(f)
	if err != nil {
		return err
	}
	defer from.Close()
	var upright Frame
	width, height := f.Width, f.Height
	if orientation >= 5 {
		width, height = height, width
	}
	err = fill(&upright, width, height, func(to *gocv.Mat) error {
		switch orientation {
		case 2:
			return gocv.Flip(from.Mat, to, 1)
		case 3:
			return gocv.Rotate(from.Mat, to, gocv.Rotate180Clockwise)
		case 4:
			return gocv.Flip(from.Mat, to, 0)
		case 5:
			return gocv.Transpose(from.Mat, to)
		case 6:
			return gocv.Rotate(from.Mat, to, gocv.Rotate90Clockwise)
		case 7: // over the other diagonal: a transpose, turned by half
			if err := gocv.Transpose(from.Mat, to); err != nil {
				return err
			}
			return gocv.Flip(*to, to, -1)
		default:
			return gocv.Rotate(from.Mat, to, gocv.Rotate90CounterClockwise)
		}
	})
	if err != nil {
		return fmt.Errorf("orient image: %w", err)
	}
	f.Pixels, f.Width, f.Height = upright.Pixels, upright.Width, upright.Height
	return nil
}
