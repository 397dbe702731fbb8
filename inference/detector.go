package inference

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/edgeverify/edgeverify/inference/onnx"
)

// Face is one detected face. Points are, in this order, the person's right
// eye, left eye, nose tip, right and left corner of the mouth. Score is the
// detector's certainty, 0 to 1.
type Face struct {
	Box    Box
	Points [5]Point
	Score  float64
}

// Search is one look at a picture.
type Search struct {
	// Size is the side of the detector's square input, a multiple of 32.
	Size int
	// Border widens the picture by this share of its longer side on every
	// side: faces that fill the frame are found only with room around them.
	Border float64
	// Least is the score a face must exceed.
	Least float64
}

// ProbeSearches are the looks at a person before a camera, tried in this order
// until one finds a face.
func ProbeSearches() []Search {
	return []Search{{Size: 320, Least: 0.6}, {Size: 320, Border: 0.25, Least: 0.6}, {Size: 640, Least: 0.4}}
}

// DocumentSearches are the looks at a document with a small portrait on it.
func DocumentSearches() []Search {
	return []Search{{Size: 640, Least: 0.6}, {Size: 640, Border: 0.25, Least: 0.6}, {Size: 640, Least: 0.4}}
}

// Detector finds faces (YuNet: 1×3×S×S, BGR, 0–255, letterboxed; per stride
// class and object scores, boxes and five points).
type Detector struct {
	session *onnx.Session
	mu      sync.Mutex
	pools   map[int]*pool
}

func strides() [3]int { return [3]int{8, 16, 32} }

func newDetector(s *onnx.Session) *Detector {
	return &Detector{session: s, pools: map[int]*pool{}}
}

// Find returns the faces of the first search that finds any, best first, in
// pixels of the whole picture; none is no error.
func (d *Detector) Find(p Picture, searches []Search, m *Meter) ([]Face, error) {
	for _, s := range searches {
		faces, err := d.look(p, s, m)
		if err != nil || len(faces) > 0 {
			return faces, err
		}
	}
	return nil, nil
}

func (d *Detector) look(p Picture, s Search, m *Meter) ([]Face, error) {
	pool, err := d.pool(s.Size)
	if err != nil {
		return nil, err
	}
	whole := p.Image()
	if err := whole.check(); err != nil {
		return nil, err
	}
	width, height := whole.Width, whole.Height
	k := float64(s.Size) / (float64(max(width, height)) * (1 + 2*s.Border))
	w, h := max(1, int(math.Round(float64(width)*k))), max(1, int(math.Round(float64(height)*k)))
	img, err := p.Fit(max(w, h))
	if err != nil {
		return nil, err
	}
	if err := img.check(); err != nil {
		return nil, err
	}
	left, top := (s.Size-w)/2, (s.Size-h)/2
	var faces []Face
	err = pool.run(m,
		func(r *onnx.Runner) { letterbox(img, w, h, left, top, s.Size, bgr(r.Input(0))) },
		func(r *onnx.Runner) { faces = decode(r, s.Size, s.Least) })
	if err != nil {
		return nil, err
	}
	faces = suppress(faces)
	for i := range faces {
		faces[i].place(k, float64(left), float64(top))
	}
	return faces, nil
}

func (d *Detector) pool(size int) (*pool, error) {
	if size <= 0 || size%32 != 0 {
		return nil, fmt.Errorf("inference: detector input of %d pixels: must be a positive multiple of 32", size)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.pools[size]; p != nil {
		return p, nil
	}
	var outputs [][]int64
	for _, values := range [4]int64{1, 1, 4, 10} { // cls, obj, bbox, kps, as the manifest lists them
		for _, stride := range strides() {
			side := int64(size / stride)
			outputs = append(outputs, []int64{1, side * side, values})
		}
	}
	p := newPool(d.session, [][]int64{{1, 3, int64(size), int64(size)}}, outputs)
	d.pools[size] = p
	return p, nil
}

func (d *Detector) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, p := range d.pools {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// letterbox paints img, stretched to w×h, at (left, top) of a black square.
func letterbox(img Image, w, h, left, top, size int, canvas planes) {
	if w < size || h < size {
		for _, plane := range canvas {
			clear(plane)
		}
	}
	if img.Width != w || img.Height != h {
		scaled := bgr(make([]float32, 3*w*h))
		stretch(img, Box{Width: float64(img.Width), Height: float64(img.Height)}, w, h, scaled)
		for c, plane := range canvas {
			for y := range h {
				copy(plane[(top+y)*size+left:], scaled[c][y*w:(y+1)*w])
			}
		}
		return
	}
	for y := range h {
		row := img.Pixels[3*y*w : 3*(y+1)*w]
		at := (top+y)*size + left
		b, g, r := canvas[0][at:at+w], canvas[1][at:at+w], canvas[2][at:at+w]
		for x := range b {
			px := row[3*x:][:3:3]
			b[x], g[x], r[x] = float32(px[0]), float32(px[1]), float32(px[2])
		}
	}
}

// decode reads the detector's grids, in pixels of the input square.
func decode(r *onnx.Runner, size int, least float64) []Face {
	var faces []Face
	for i, stride := range strides() {
		g := grid{r.Output(i), r.Output(3 + i), r.Output(6 + i), r.Output(9 + i)}
		faces = append(faces, g.faces(size, stride, least)...)
	}
	return faces
}

// grid is what the detector says at one stride, cell by cell: a class and an
// object score, 4 values of a box and 10 of points.
type grid struct{ class, object, box, points []float32 }

// faces decodes the cells whose score √(class·object) exceeds least: centre
// (cell + d)·stride, side e^d·stride, points (cell + d)·stride. A box that is no
// box, or several times the input, is none.
func (g grid) faces(size, stride int, least float64) []Face {
	var faces []Face
	side, step := size/stride, float64(stride)
	for cell := range g.class {
		// The product of the clipped scores decides cheaply before the root is drawn.
		product := float64(min(max(g.class[cell], 0), 1)) * float64(min(max(g.object[cell], 0), 1))
		if !(product > least*least) {
			continue
		}
		cx, cy := float64(cell%side), float64(cell/side)
		b, k := g.box[4*cell:4*cell+4], g.points[10*cell:10*cell+10]
		w, h := math.Exp(float64(b[2]))*step, math.Exp(float64(b[3]))*step
		f := Face{Score: math.Sqrt(product), Box: Box{
			X: (cx+float64(b[0]))*step - w/2, Y: (cy+float64(b[1]))*step - h/2, Width: w, Height: h,
		}}
		for j := range f.Points {
			f.Points[j] = Point{(cx + float64(k[2*j])) * step, (cy + float64(k[2*j+1])) * step}
		}
		if f.plausible(float64(size)) {
			faces = append(faces, f)
		}
	}
	return faces
}

// plausible reports whether a face could be in a square of the given side:
// nothing of it is further away than that side. NaN is nowhere.
func (f Face) plausible(side float64) bool {
	near := func(v float64) bool { return v > -side && v < 2*side }
	b := f.Box
	if !(near(b.X) && near(b.Y) && near(b.X+b.Width) && near(b.Y+b.Height) && b.Width >= 1 && b.Height >= 1) {
		return false
	}
	for _, p := range f.Points {
		if !near(p.X) || !near(p.Y) {
			return false
		}
	}
	return true
}

// suppress keeps the best of faces that overlap by more than 30 %, best first.
func suppress(faces []Face) []Face {
	slices.SortStableFunc(faces, func(a, b Face) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	var kept []Face
	for _, f := range faces {
		if !slices.ContainsFunc(kept, func(k Face) bool { return k.Box.overlap(f.Box) > 0.3 }) {
			kept = append(kept, f)
		}
	}
	return kept
}

// place moves a face from the letterboxed square, whose scale is k, to the
// picture. Positions of the square are pixel corners there (0 = left edge).
func (f *Face) place(k, left, top float64) {
	f.Box = Box{(f.Box.X - left) / k, (f.Box.Y - top) / k, f.Box.Width / k, f.Box.Height / k}
	for i, p := range f.Points {
		f.Points[i] = Point{(p.X - left) / k, (p.Y - top) / k}
	}
}

// MainFace is the face that a picture of width×height pixels is about: large
// and near its centre. It is false where faces is empty.
func MainFace(faces []Face, width, height int) (Face, bool) {
	var main Face
	best := math.Inf(-1)
	for _, f := range faces {
		dx, dy := f.Box.X+f.Box.Width/2-float64(width)/2, f.Box.Y+f.Box.Height/2-float64(height)/2
		off := (dx*dx + dy*dy) / (float64(width) * float64(height))
		if rank := f.Score * f.Box.Area() / (1 + 4*off); rank > best {
			main, best = f, rank
		}
	}
	return main, len(faces) > 0
}
