package measure

import (
	"image"
	"image/color"
	"math"
)

// portrait draws the head and shoulders of nobody, width pixels wide and a
// quarter more high: shaded enough for the face detector to find it and for the
// networks behind it to work as long as on a photo. The same width gives the
// same pixels.
func portrait(width int) *image.RGBA {
	height := width * 5 / 4
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	layers := face()
	for py := range height {
		for px := range width {
			// One unit is half the width; (0, 0) lies between the eyes.
			x := (float64(px)+0.5)/float64(width)*2 - 1
			y := (float64(py)+0.5)/float64(width)*2 - 1.05
			fall := tone(30 * y)
			ink := paint{150 - fall, 158 - fall, 166 - fall}
			for _, l := range layers {
				l.over(x, y, &ink)
			}
			// Skin and cloth are never smooth: a fixed grain of ±3.
			grain := 6 * (math.Mod(math.Abs(math.Sin(float64(px)*12.9898+float64(py)*78.233))*43758.5453, 1) - 0.5)
			picture.SetRGBA(px, py, color.RGBA{ink[0].byte(grain), ink[1].byte(grain), ink[2].byte(grain), 255})
		}
	}
	return picture
}

// paint is red, green and blue, 0 to 255.
type paint [3]tone

type tone float64

func (t tone) byte(grain float64) uint8 { return uint8(min(max(float64(t)+grain, 0), 255)) }

// layer is one ellipse of paint with a soft edge. With round it is lit from the
// upper left as a ball would be; with opacity below 1 what lies under it shows.
type layer struct {
	x, y, w, h float64 // centre and half axes
	soft       float64 // width of the edge as a share of the half axes
	opacity    float64
	round      float64
	paint      paint
}

func (l layer) over(x, y float64, under *paint) {
	u, v := (x-l.x)/l.w, (y-l.y)/l.h
	if u*u+v*v >= (1+l.soft)*(1+l.soft) {
		return
	}
	d := math.Sqrt(u*u + v*v)
	cover := l.opacity * min((1+l.soft-d)/(2*l.soft), 1)
	light := 1 - l.round*(0.35*d*d+0.16*(u+0.6*v))
	for c := range under {
		under[c] += tone(cover) * (l.paint[c]*tone(light) - under[c])
	}
}

// face is what portrait paints, from back to front.
func face() []layer {
	skin, shade, dark := paint{214, 168, 142}, paint{150, 100, 80}, paint{58, 38, 30}
	layers := []layer{
		{0, 0.02, 0.62, 0.78, 0.06, 1, 0.3, dark},                    // hair behind the head
		{0, 1.62, 1.0, 0.72, 0.04, 1, 0.5, paint{52, 66, 98}},        // shoulders
		{0, 0.86, 0.26, 0.34, 0.08, 1, 0.5, paint{186, 138, 114}},    // neck
		{0, 0.70, 0.34, 0.16, 0.6, 0.6, 0, shade},                    // shadow of the chin
		{-0.53, 0.08, 0.08, 0.16, 0.2, 1, 0.4, paint{196, 146, 122}}, // ears
		{0.53, 0.08, 0.08, 0.16, 0.2, 1, 0.4, paint{186, 136, 112}},  //
		{0, 0.08, 0.51, 0.68, 0.04, 1, 0.55, skin},                   // head
		{0, 0.42, 0.40, 0.38, 0.25, 0.7, 0.5, paint{212, 164, 138}},  // jaw
		{0, -0.58, 0.50, 0.26, 0.18, 1, 0.4, dark},                   // hair in front
		{-0.30, 0.30, 0.16, 0.14, 1, 0.35, 0, paint{222, 132, 112}},  // cheeks
		{0.30, 0.30, 0.16, 0.14, 1, 0.35, 0, paint{212, 124, 106}},   //
		{0, 0.10, 0.075, 0.20, 0.8, 0.5, 0, paint{236, 196, 172}},    // ridge of the nose
		{0.085, 0.16, 0.04, 0.18, 1, 0.5, 0, shade},                  // its shaded side
		{0, 0.285, 0.10, 0.055, 0.5, 0.6, 0, paint{208, 150, 126}},   // tip
		{0, 0.335, 0.12, 0.028, 0.9, 0.7, 0, shade},                  // under it
		{-0.055, 0.32, 0.03, 0.018, 0.5, 0.9, 0, paint{84, 46, 38}},  // nostrils
		{0.055, 0.32, 0.03, 0.018, 0.5, 0.9, 0, paint{84, 46, 38}},   //
		{0, 0.405, 0.03, 0.05, 1, 0.35, 0, shade},                    // philtrum
		{0, 0.475, 0.17, 0.035, 0.35, 0.9, 0, paint{164, 80, 76}},    // upper lip
		{0, 0.525, 0.14, 0.045, 0.35, 0.9, 0, paint{186, 98, 92}},    // lower lip
		{0, 0.497, 0.165, 0.011, 0.6, 0.9, 0, paint{92, 40, 40}},     // between them
		{0, 0.595, 0.12, 0.025, 1, 0.5, 0, shade},                    // under the lips
		{0, 0.66, 0.11, 0.07, 1, 0.3, 0, paint{230, 186, 160}},       // chin
	}
	for _, side := range []float64{-1, 1} {
		eye := side * 0.215
		layers = append(layers,
			layer{eye, -0.005, 0.15, 0.10, 0.9, 0.55, 0, shade},                 // socket
			layer{eye, -0.13, 0.145, 0.028, 0.5, 0.9, 0, paint{64, 44, 34}},     // brow
			layer{eye, 0.01, 0.098, 0.046, 0.18, 1, 0.25, paint{232, 226, 220}}, // white
			layer{eye, 0.008, 0.045, 0.045, 0.15, 1, 0, paint{86, 62, 44}},      // iris
			layer{eye, 0.008, 0.022, 0.022, 0.2, 1, 0, paint{16, 12, 12}},       // pupil
			layer{eye - 0.014, -0.006, 0.009, 0.009, 0.4, 1, 0, paint{250, 250, 250}},
			layer{eye, -0.036, 0.108, 0.018, 0.4, 0.95, 0, paint{48, 30, 26}}, // lashes
			layer{eye, -0.06, 0.11, 0.012, 0.8, 0.5, 0, shade},                // crease
			layer{eye, 0.056, 0.09, 0.010, 0.8, 0.5, 0, shade},                // lower lid
		)
	}
	return layers
}
