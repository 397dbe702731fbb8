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

// column says between which two pixels of a row an output column lies.
type column struct {
	left, right int // offsets of bytes in the row
	weight      float32
}

// columns places width outputs evenly over the stretch from start to
// start+length of a line of size pixels, whose ends are repeated.
func columns(start, length float64, width, size int) []column {
	step := length / float64(width)
	out := make([]column, width)
	for u := range out {
		x := min(max(start+(float64(u)+0.5)*step-0.5, 0), float64(size-1))
		left := int(x)
		out[u] = column{3 * left, 3 * min(left+1, size-1), float32(x - float64(left))}
	}
	return out
}

// stretch fills width×height outputs of each plane with box, by bilinear
// interpolation, pixel areas covering pixel areas; outside the image its edge
// is repeated.
func stretch(img Image, box Box, width, height int, out planes) {
	across := columns(box.X, box.Width, width, img.Width)
	for v, down := range columns(box.Y, box.Height, height, img.Height) {
		top := img.Pixels[down.left*img.Width:][:3*img.Width]
		bottom := img.Pixels[down.right*img.Width:][:3*img.Width]
		fy := down.weight
		b, g, r := out[0][v*width:][:width], out[1][v*width:][:width], out[2][v*width:][:width]
		for u, c := range across {
			tl, tr := top[c.left:][:3:3], top[c.right:][:3:3]
			bl, br := bottom[c.left:][:3:3], bottom[c.right:][:3:3]
			b[u] = blend(tl[0], tr[0], bl[0], br[0], c.weight, fy)
			g[u] = blend(tl[1], tr[1], bl[1], br[1], c.weight, fy)
			r[u] = blend(tl[2], tr[2], bl[2], br[2], c.weight, fy)
		}
	}
}

// blend interpolates between four neighbours.
func blend(tl, tr, bl, br byte, fx, fy float32) float32 {
	top := float32(tl) + (float32(tr)-float32(tl))*fx
	bottom := float32(bl) + (float32(br)-float32(bl))*fx
	return top + (bottom-top)*fy
}

// warp fills width×height outputs of each plane by bilinear interpolation at
// the positions that m maps them to; outside the image all is black.
func warp(img Image, m affine, width, height int, out planes) {
	stride := 3 * img.Width
	for v := range height {
		b, g, r := out[0][v*width:][:width], out[1][v*width:][:width], out[2][v*width:][:width]
		x, y := m.b*float64(v)+m.c, m.e*float64(v)+m.f
		for u := range b {
			x0, y0 := floor(x), floor(y)
			if x0 >= 0 && y0 >= 0 && x0+1 < img.Width && y0+1 < img.Height {
				fx, fy := float32(x-float64(x0)), float32(y-float64(y0))
				at := y0*stride + 3*x0
				top, bottom := img.Pixels[at:][:6:6], img.Pixels[at+stride:][:6:6]
				b[u] = blend(top[0], top[3], bottom[0], bottom[3], fx, fy)
				g[u] = blend(top[1], top[4], bottom[1], bottom[4], fx, fy)
				r[u] = blend(top[2], top[5], bottom[2], bottom[5], fx, fy)
			} else {
				b[u], g[u], r[u] = edge(img, x0, y0, float32(x-float64(x0)), float32(y-float64(y0)))
			}
			x, y = x+m.a, y+m.d
		}
	}
}

// edge is the value of warp where some of the four neighbours lie outside the image.
func edge(img Image, x0, y0 int, fx, fy float32) (b, g, r float32) {
	for _, n := range [4]struct {
		x, y   int
		weight float32
	}{
		{x0, y0, (1 - fx) * (1 - fy)}, {x0 + 1, y0, fx * (1 - fy)},
		{x0, y0 + 1, (1 - fx) * fy}, {x0 + 1, y0 + 1, fx * fy},
	} {
		if n.x < 0 || n.y < 0 || n.x >= img.Width || n.y >= img.Height {
			continue
		}
		px := img.Pixels[3*(n.y*img.Width+n.x):][:3]
		b, g, r = b+n.weight*float32(px[0]), g+n.weight*float32(px[1]), r+n.weight*float32(px[2])
	}
	return b, g, r
}

// floor rounds down; positions are far from the limits of int.
func floor(x float64) int {
	i := int(x)
	if float64(i) > x {
		i--
	}
	return i
}
