package inference

// planes are the three channel planes of a float32 tensor in the order of the
// image's bytes: blue, green, red. An RGB tensor is filled by handing its
// planes over in reverse.
type planes [3][]float32

// bgr cuts a 3×H×W tensor whose first plane is blue.
func bgr(tensor []float32) planes {
	n := len(tensor) / 3
	return planes{tensor[:n], tensor[n : 2*n], tensor[2*n : 3*n]}
}

// rgb cuts a 3×H×W tensor whose first plane is red.
func rgb(tensor []float32) planes {
	p := bgr(tensor)
	return planes{p[2], p[1], p[0]}
}

// affine maps a position of the output to one of the image:
// x = a·u + b·v + c, y = d·u + e·v + f.
type affine struct{ a, b, c, d, e, f float64 }

// cut is the map that stretches box over an output of width×height pixels,
// pixel areas covering pixel areas (half-pixel centres).
func cut(box Box, width, height int) affine {
	sx, sy := box.Width/float64(width), box.Height/float64(height)
	return affine{a: sx, c: box.X + sx/2 - 0.5, e: sy, f: box.Y + sy/2 - 0.5}
}

// sample fills width×height outputs of each plane by bilinear interpolation at
// the positions that m maps them to. With taps > 1 each output averages a
// grid of taps×taps positions spread over its area, which keeps fine texture
// from aliasing where the picture shrinks. Positions outside the image repeat its edge where
// repeat is true and are black elsewhere.
func sample(img Image, m affine, width, height, taps int, repeat bool, out planes) {
	weight := 1 / float32(taps*taps)
	for v := range height {
		row := v * width
		for u := range width {
			var sum [3]float32
			for tv := range taps {
				y := float64(v) + (float64(tv)+0.5)/float64(taps) - 0.5
				for tu := range taps {
					x := float64(u) + (float64(tu)+0.5)/float64(taps) - 0.5
					bilinear(img, m.a*x+m.b*y+m.c, m.d*x+m.e*y+m.f, repeat, &sum)
				}
			}
			out[0][row+u], out[1][row+u], out[2][row+u] = sum[0]*weight, sum[1]*weight, sum[2]*weight
		}
	}
}

// bilinear adds the image's value at (x, y) to sum.
func bilinear(img Image, x, y float64, repeat bool, sum *[3]float32) {
	if repeat {
		x = min(max(x, 0), float64(img.Width-1))
		y = min(max(y, 0), float64(img.Height-1))
	} else if x <= -1 || y <= -1 || x >= float64(img.Width) || y >= float64(img.Height) {
		return
	}
	x0, y0 := floor(x), floor(y)
	fx, fy := float32(x-float64(x0)), float32(y-float64(y0))
	if x0 >= 0 && y0 >= 0 && x0+1 < img.Width && y0+1 < img.Height {
		i := 3 * (y0*img.Width + x0)
		top := img.Pixels[i : i+6 : i+6]
		i += 3 * img.Width
		bottom := img.Pixels[i : i+6 : i+6]
		for c := range 3 {
			a, b := float32(top[c]), float32(bottom[c])
			a += (float32(top[c+3]) - a) * fx
			b += (float32(bottom[c+3]) - b) * fx
			sum[c] += a + (b-a)*fy
		}
		return
	}
	edge(img, x0, y0, fx, fy, sum)
}

// edge is bilinear where some of the four neighbours lie outside the image.
func edge(img Image, x0, y0 int, fx, fy float32, sum *[3]float32) {
	for _, n := range [4]struct {
		x, y   int
		weight float32
	}{
		{x0, y0, (1 - fx) * (1 - fy)}, {x0 + 1, y0, fx * (1 - fy)},
		{x0, y0 + 1, (1 - fx) * fy}, {x0 + 1, y0 + 1, fx * fy},
	} {
		if n.weight == 0 || n.x < 0 || n.y < 0 || n.x >= img.Width || n.y >= img.Height {
			continue
		}
		i := 3 * (n.y*img.Width + n.x)
		for c := range 3 {
			sum[c] += n.weight * float32(img.Pixels[i+c])
		}
	}
}

// floor rounds down; positions are far from the limits of int.
func floor(x float64) int {
	i := int(x)
	if float64(i) > x {
		i--
	}
	return i
}

// tapsFor is how many samples a side keep a picture that shrinks by the given
// factor from aliasing.
func tapsFor(shrink float64) int {
	return min(max(int(shrink+0.5), 1), 8)
}
