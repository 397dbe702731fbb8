package inference

import (
	"errors"
	"math"
)

// ErrPoints means that five points are no face: they coincide or are not numbers.
var ErrPoints = errors.New("inference: the five points of the face do not span it")

// align is the map from the aligned square to the image, by the similarity
// transform (rotation, scale, shift) that brings the points onto the template
// with the least squared error (Umeyama 1991, without reflection).
func align(points [5]Point) (affine, error) {
	dst := template()
	src, sc := centred(points)
	dst, dc := centred(dst)
	var norm, re, im float64
	for i := range src {
		s, d := src[i], dst[i]
		norm += s.X*s.X + s.Y*s.Y
		re += s.X*d.X + s.Y*d.Y
		im += s.X*d.Y - s.Y*d.X
	}
	re, im = re/norm, im/norm
	k := re*re + im*im // squared scale, image to template
	if !(norm > 1) || !(k > 0) || math.IsInf(k, 0) {
		return affine{}, ErrPoints
	}
	// The inverse of p ↦ [re −im; im re]·(p − sc) + dc.
	a, b := re/k, im/k
	return affine{
		a: a, b: b, c: sc.X - a*dc.X - b*dc.Y,
		d: -b, e: a, f: sc.Y + b*dc.X - a*dc.Y,
	}, nil
}

// aligned is the picture to sample a face from and the map into it. A face
// more than twice the size of the square is first reduced by a whole factor, by
// averaging areas, so that its texture does not alias.
func aligned(p Picture, points [5]Point) (Image, affine, error) {
	to, err := align(points)
	if err != nil {
		return Image{}, to, err
	}
	img := p.Image()
	if err := img.check(); err != nil {
		return Image{}, to, err
	}
	n := int(math.Hypot(to.a, to.d))
	if n < 2 {
		return img, to, nil
	}
	x0, y0, x1, y1 := to.bounds(AlignedSize)
	// Even positions let a picture cut from its half.
	x, y := even(x0)-2*n, even(y0)-2*n
	w, h := even((x1-x0)/float64(n))+6, even((y1-y0)/float64(n))+6
	img, err = p.Cut(x, y, w*n, h*n, w, h)
	// A pixel of the reduced part stands at the middle of its n×n pixels.
	k, dx, dy := 1/float64(n), float64(x)+float64(n-1)/2, float64(y)+float64(n-1)/2
	return img, affine{a: to.a * k, b: to.b * k, c: (to.c - dx) * k, d: to.d * k, e: to.e * k, f: (to.f - dy) * k}, err
}

// bounds are the least and greatest positions that a square of the given side maps to.
func (m affine) bounds(side int) (x0, y0, x1, y1 float64) {
	last := float64(side - 1)
	x0, y0, x1, y1 = m.c, m.f, m.c, m.f
	for _, corner := range [3]Point{{last, 0}, {0, last}, {last, last}} {
		x, y := m.a*corner.X+m.b*corner.Y+m.c, m.d*corner.X+m.e*corner.Y+m.f
		x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
	}
	return x0, y0, x1, y1
}

// centred shifts points so that their mean is the origin, and returns the mean.
func centred(points [5]Point) ([5]Point, Point) {
	var mean Point
	for _, p := range points {
		mean.X, mean.Y = mean.X+p.X/5, mean.Y+p.Y/5
	}
	for i, p := range points {
		points[i] = Point{p.X - mean.X, p.Y - mean.Y}
	}
	return points, mean
}
