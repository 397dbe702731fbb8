package capture_test

import (
	"image"
	"testing"

	"github.com/edgeverify/edgeverify/capture"
)

// ramp is a frame whose blue is the column and whose green is the row.
func ramp(width, height int) *capture.Frame {
	f := &capture.Frame{Pixels: make([]byte, 3*width*height), Width: width, Height: height, Sequence: 7}
	for y := range height {
		for x := range width {
			i := 3 * (y*width + x)
			f.Pixels[i], f.Pixels[i+1], f.Pixels[i+2] = byte(x), byte(y), 255
		}
	}
	return f
}

func TestCutAveragesWhatShrinksAndBlackensTheOutside(t *testing.T) {
	f := ramp(40, 20)
	for name, c := range map[string]struct {
		part          image.Rectangle
		width, height int
		x, y          int // of the pixel that is looked at
		want          [3]byte
	}{
		"as it is":      {image.Rect(10, 5, 20, 15), 10, 10, 3, 2, [3]byte{13, 7, 255}},
		"half":          {image.Rect(10, 4, 30, 16), 10, 6, 1, 1, [3]byte{13, 7, 255}}, // the mean of 12 and 13, of 6 and 7
		"left outside":  {image.Rect(-10, 0, 10, 20), 20, 20, 9, 3, [3]byte{0, 0, 0}},
		"right inside":  {image.Rect(-10, 0, 10, 20), 20, 20, 10, 3, [3]byte{0, 3, 255}},
		"below outside": {image.Rect(0, 10, 20, 30), 20, 20, 5, 10, [3]byte{0, 0, 0}},
		"all outside":   {image.Rect(100, 100, 110, 110), 5, 5, 2, 2, [3]byte{0, 0, 0}},
	} {
		var out capture.Frame
		if err := f.Cut(c.part, c.width, c.height, &out); err != nil {
			t.Errorf("%s: Cut(%v) = %v", name, c.part, err)
			continue
		}
		i := 3 * (c.y*out.Width + c.x)
		got := [3]byte(out.Pixels[i : i+3])
		if out.Width != c.width || out.Height != c.height || got != c.want || out.Sequence != 7 {
			t.Errorf("%s: Cut(%v) = %d×%d, pixel (%d, %d) %v, want %d×%d, %v", name, c.part, out.Width, out.Height, c.x, c.y, got, c.width, c.height, c.want)
		}
	}
}

func TestCutRefusesWhatCannotBe(t *testing.T) {
	f := ramp(8, 8)
	var out capture.Frame
	for name, err := range map[string]error{
		"nothing":    f.Cut(image.Rectangle{}, 5, 5, &out),
		"no size":    f.Cut(image.Rect(0, 0, 4, 4), 0, 5, &out),
		"huge":       f.Cut(image.Rect(0, 0, 1<<20, 4), 5, 5, &out),
		"itself":     f.Cut(image.Rect(0, 0, 4, 4), 5, 5, f),
		"no picture": (&capture.Frame{}).Cut(image.Rect(0, 0, 4, 4), 5, 5, &out),
	} {
		if err == nil {
			t.Errorf("Cut of %s = nil, want an error", name)
		}
	}
}
