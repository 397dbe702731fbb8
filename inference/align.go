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
