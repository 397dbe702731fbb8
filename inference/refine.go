package inference

import (
	"math"

	"github.com/edgeverify/edgeverify/inference/onnx"
)

const (
	// refineSize is the detector's input for a second look at a face.
	refineSize = 256
	// refineLeast is enough of a score where a face is known to be.
	refineLeast = 0.3
	// refineOverlap is how much of the known box a second look must confirm.
	refineOverlap = 0.3
)

// refineMargins are the sides of the squares that are looked at again, in
// sides of the face's box.
func refineMargins() [2]float64 { return [2]float64{1.6, 2.0} }

// Refine measures the five points of a known face again, where the detector
// sees it at its best size: in two squares around it and in their mirror
// images, averaged. It steadies the alignment, and with it the comparison,
// more than a larger input for the whole picture does. Where no second look
// finds the face, the first points stand.
func (d *Detector) Refine(p Picture, face Face, m *Meter) ([5]Point, error) {
	pool, err := d.pool(refineSize)
	if err != nil {
		return face.Points, err
	}
	var sum [5]Point
	looks := 0
	for _, margin := range refineMargins() {
		// Even positions let a picture cut from its half.
		side := max(8, even(max(face.Box.Width, face.Box.Height)*margin))
		x := even(face.Box.X + face.Box.Width/2 - float64(side)/2)
		y := even(face.Box.Y + face.Box.Height/2 - float64(side)/2)
		square, err := p.Cut(x, y, side, side, refineSize, refineSize)
		if err != nil {
			return face.Points, err
		}
		k := refineSize / float64(side)
		known := Box{(face.Box.X - float64(x)) * k, (face.Box.Y - float64(y)) * k, face.Box.Width * k, face.Box.Height * k}
		for _, mirror := range [2]bool{false, true} {
			var faces []Face
			err := pool.run(m,
				func(r *onnx.Runner) {
					letterbox(square, refineSize, refineSize, 0, 0, refineSize, bgr(r.Input(0)))
					if mirror {
						flip(r.Input(0), refineSize)
					}
				},
				func(r *onnx.Runner) { faces = suppress(decode(r, refineSize, refineLeast)) })
			if err != nil {
				return face.Points, err
			}
			points, ok := confirmed(faces, known, mirror)
			if !ok {
				continue
			}
			looks++
			for i, q := range points {
				sum[i].X += (q.X+0.5)/k - 0.5 + float64(x)
				sum[i].Y += (q.Y+0.5)/k - 0.5 + float64(y)
			}
		}
	}
	if looks == 0 {
		return face.Points, nil
	}
	for i := range sum {
		sum[i] = Point{sum[i].X / float64(looks), sum[i].Y / float64(looks)}
	}
	return sum, nil
}

// even is the even number next to v.
func even(v float64) int { return 2 * int(math.Round(v/2)) }

// confirmed are the points of the face that overlaps the known box most, seen
// in the square as it is.
func confirmed(faces []Face, known Box, mirror bool) ([5]Point, bool) {
	best, found := refineOverlap, [5]Point{}
	for _, f := range faces {
		if mirror {
			f.mirror()
		}
		if o := f.Box.overlap(known); o >= best {
			best, found = o, f.Points
		}
	}
	return found, found != [5]Point{}
}

// mirror turns a face seen in a mirrored square into the face of the square.
func (f *Face) mirror() {
	f.Box.X = refineSize - f.Box.X - f.Box.Width
	p := f.Points
	for i, from := range [5]int{1, 0, 2, 4, 3} {
		f.Points[i] = Point{refineSize - 1 - p[from].X, p[from].Y}
	}
}
