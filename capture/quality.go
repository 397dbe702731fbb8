package capture

import (
	"fmt"
	"image"
	"math"
)

// A Region is a part of a picture in its pixels, from the top left. It may reach
// beyond the picture, as a face at its edge does. The zero Region stands for the
// whole picture.
type Region struct{ X, Y, W, H float64 }

// Quality is what can be measured of a picture, or of a face in it, without
// knowing whose it is. The zero Quality is one that nothing passes.
type Quality struct {
	// Sharpness is the standard deviation of the Laplacian over that of the
	// brightness, at a fixed size: how much of the contrast is fine detail.
	// 0 is flat; faces that are sharp have 0.1 to 0.7, out of focus below 0.07.
	// Print and text reach 2.
	Sharpness float64
	// Mean is the mean brightness (luma of BT.601), 0 black to 1 white.
	Mean float64
	// Contrast is the standard deviation of the brightness, 0 to 0.5.
	Contrast float64
	// Dark and Bright are the parts of the region darker than 0.12 and brighter
	// than 0.95, 0 to 1.
	Dark, Bright float64
	// Glare is the part of the region where every colour is saturated, 0 to 1.
	Glare float64
	// Lopsided is the difference in mean brightness between the left and the
	// right half, 0 to 1: light from one side.
	Lopsided float64

	// Face says that the region was given; the following are only then measured.
	Face bool
	// FaceSide is the shorter side of the region in pixels.
	FaceSide float64
	// FaceFraction is the part of the picture that the region covers, 0 to 1.
	FaceFraction float64
	// OffCentre is how far the region's centre lies from the picture's, as a part
	// of the width or the height, whichever is more: 0 is central, 0.5 the edge.
	OffCentre float64
	// CutOff is the part of the region that lies outside the picture, 0 to 1.
	CutOff float64
}

// The longer side to which a region is brought before it is measured, so that
// the figures of near and far faces compare. Whole pictures keep more, because
// what matters in them is small.
const (
	faceMeasureSide    = 128
	pictureMeasureSide = 512
)

const (
	darkLuma      = 31  // of 255: 0.12
	brightLuma    = 242 // of 255: 0.95
	saturatedByte = 250
)

// MeasureQuality measures the part of f within region, or all of f for the zero
// Region. It returns an error matching ErrFrame if nothing of region lies within f.
func MeasureQuality(f *Frame, region Region) (Quality, error) {
	if err := f.valid(); err != nil {
		return Quality{}, fmt.Errorf("measure quality: %w", err)
	}
	var q Quality
	part, side := f.all(), pictureMeasureSide
	if region != (Region{}) {
		var err error
		if part, err = q.place(f, region); err != nil {
			return Quality{}, fmt.Errorf("measure quality: %w", err)
		}
		side = faceMeasureSide
	}
	width, height := part.Dx(), part.Dy()
	scale := float64(side) / float64(max(width, height))
	// A face is brought to size both ways; a picture is only ever shrunk.
	if region != (Region{}) || scale < 1 {
		width = max(1, int(math.Round(float64(width)*scale)))
		height = max(1, int(math.Round(float64(height)*scale)))
	}
	var sample Frame
	if err := f.shrink(part, width, height, &sample); err != nil {
		return Quality{}, fmt.Errorf("measure quality: %w", err)
	}
	q.light(&sample)
	return q, nil
}

// place measures where the face lies and returns the part of it within f.
func (q *Quality) place(f *Frame, r Region) (image.Rectangle, error) {
	width, height := float64(f.Width), float64(f.Height)
	left, top := math.Max(r.X, 0), math.Max(r.Y, 0)
	right, bottom := math.Min(r.X+r.W, width), math.Min(r.Y+r.H, height)
	// Written so that a NaN fails.
	if !(r.W > 0 && r.H > 0 && right-left >= 1 && bottom-top >= 1) {
		return image.Rectangle{}, fmt.Errorf("%w: the region lies outside the %d×%d picture", ErrFrame, f.Width, f.Height)
	}
	q.Face = true
	q.FaceSide = math.Min(r.W, r.H)
	inside := (right - left) * (bottom - top)
	q.FaceFraction = inside / (width * height)
	q.CutOff = math.Max(0, 1-inside/(r.W*r.H))
	q.OffCentre = math.Max(math.Abs((r.X+r.W/2)/width-0.5), math.Abs((r.Y+r.H/2)/height-0.5))
	part := image.Rect(int(left), int(top), int(math.Ceil(right)), int(math.Ceil(bottom)))
	return part.Intersect(f.all()), nil
}

// light measures brightness and detail in one pass. It keeps three rows of luma,
// which is all that a Laplacian needs.
func (q *Quality) light(f *Frame) {
	var rows [3][pictureMeasureSide]int32
	var sum, squares, laplace, laplaceSquares, left int64
	var dark, bright, glare, inner int64
	for y := range f.Height {
		row := &rows[y%3]
		line := f.Pixels[3*f.Width*y : 3*f.Width*(y+1)]
		for x := range f.Width {
			b, g, r := line[3*x], line[3*x+1], line[3*x+2]
			luma := (29*int32(b) + 150*int32(g) + 77*int32(r) + 128) >> 8
			row[x] = luma
			sum += int64(luma)
			squares += int64(luma) * int64(luma)
			if x < f.Width/2 {
				left += int64(luma)
			}
			if luma < darkLuma {
				dark++
			}
			if luma > brightLuma {
				bright++
			}
			if min(b, g, r) >= saturatedByte {
				glare++
			}
		}
		if y < 2 {
			continue
		}
		above, middle := &rows[(y-2)%3], &rows[(y-1)%3]
		for x := 1; x < f.Width-1; x++ {
			l := int64(above[x] + row[x] + middle[x-1] + middle[x+1] - 4*middle[x])
			laplace += l
			laplaceSquares += l * l
			inner++
		}
	}
	n := float64(f.Width) * float64(f.Height)
	mean := float64(sum) / n
	deviation := math.Sqrt(math.Max(0, float64(squares)/n-mean*mean))
	q.Mean, q.Contrast = mean/255, deviation/255
	q.Dark, q.Bright, q.Glare = float64(dark)/n, float64(bright)/n, float64(glare)/n
	if half := float64(f.Width/2) * float64(f.Height); half > 0 {
		q.Lopsided = math.Abs(float64(left)/half-float64(sum-left)/(n-half)) / 255
	}
	if inner > 0 && deviation > 0 {
		m := float64(laplace) / float64(inner)
		q.Sharpness = math.Sqrt(math.Max(0, float64(laplaceSquares)/float64(inner)-m*m)) / deviation
	}
}
