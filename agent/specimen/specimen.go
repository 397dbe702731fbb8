// Package specimen composes pictures of identity documents that do not exist
// and of attacks with them, for demonstrations, tests and benchmarks: a card
// of the invented state UTO around a portrait that the caller brings, the card
// photographed on a table, and a photo that somebody printed and holds before
// the camera. The same input gives the same pixels.
//
// It knows nothing of how pictures are examined.
package specimen

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Holder is the person a card speaks of. Text is Latin; dates are YYMMDD as in
// a machine readable zone.
type Holder struct {
	Surname, GivenNames string
	Number              string // at most 9 letters and digits
	Birth, Expiry       string
	Sex                 string // F, M or X
}

// Card size in pixels: ID-1 (ISO/IEC 7810, 85.60 × 53.98 mm) at 16 pixels a millimetre.
const (
	cardWidth  = 1370
	cardHeight = 864
)

// Front is the front of a card: portrait, names, number and dates, marked as a specimen.
func Front(portrait image.Image, h Holder) (*image.RGBA, error) {
	card := blank(color.RGBA{222, 232, 226, 255})
	frame := image.Rect(80, 230, 80+396, 230+510) // 35 × 45 mm, reduced
	xdraw.CatmullRom.Scale(card, frame, portrait, cover(portrait.Bounds(), frame.Dx(), frame.Dy()), draw.Src, nil)
	lines := []struct {
		face []byte
		size float64
		x, y int
		ink  color.RGBA
		text string
	}{
		{gobold.TTF, 54, 80, 96, navy(), "UTOPIA"},
		{goregular.TTF, 34, 80, 150, navy(), "IDENTITY CARD  ·  SPECIMEN"},
		{goregular.TTF, 26, 540, 262, grey(), "Surname"},
		{gobold.TTF, 46, 540, 312, ink(), h.Surname},
		{goregular.TTF, 26, 540, 382, grey(), "Given names"},
		{gobold.TTF, 46, 540, 432, ink(), h.GivenNames},
		{goregular.TTF, 26, 540, 502, grey(), "Date of birth"},
		{gobold.TTF, 40, 540, 550, ink(), printed(h.Birth)},
		{goregular.TTF, 26, 900, 502, grey(), "Sex"},
		{gobold.TTF, 40, 900, 550, ink(), h.Sex},
		{goregular.TTF, 26, 540, 620, grey(), "Date of expiry"},
		{gobold.TTF, 40, 540, 668, ink(), printed(h.Expiry)},
		{goregular.TTF, 26, 900, 620, grey(), "Document no."},
		{gomono.TTF, 40, 900, 668, ink(), h.Number},
		{goregular.TTF, 22, 80, 810, grey(), "No such state issues this card. It proves nothing."},
	}
	for _, l := range lines {
		if err := write(card, l.face, l.size, l.x, l.y, l.ink, l.text); err != nil {
			return nil, err
		}
	}
	return card, nil
}

// Back is the back of a card with its machine readable zone (ICAO 9303-5, TD1).
func Back(h Holder) (*image.RGBA, error) {
	zone, err := machineReadable(h)
	if err != nil {
		return nil, err
	}
	card := blank(color.RGBA{228, 228, 236, 255})
	if err := write(card, goregular.TTF, 30, 80, 110, grey(), "UTOPIA · SPECIMEN"); err != nil {
		return nil, err
	}
	draw.Draw(card, image.Rect(0, 560, cardWidth, cardHeight), image.NewUniform(color.RGBA{244, 244, 244, 255}), image.Point{}, draw.Src)
	for i, line := range zone {
		if err := write(card, gomono.TTF, 67, 80, 640+80*i, ink(), line); err != nil {
			return nil, err
		}
	}
	return card, nil
}

// blank is a card of one colour under a pattern of fine waves, as guilloches are.
func blank(ground color.RGBA) *image.RGBA {
	card := image.NewRGBA(image.Rect(0, 0, cardWidth, cardHeight))
	draw.Draw(card, card.Bounds(), image.NewUniform(ground), image.Point{}, draw.Src)
	line := color.RGBA{ground.R - 22, ground.G - 14, ground.B - 18, 255}
	for k := range 40 {
		for x := range cardWidth {
			y := float64(k*24) + 18*math.Sin(float64(x)/97+float64(k)*0.7) + 7*math.Sin(float64(x)/31-float64(k))
			card.SetRGBA(x, int(y), line)
		}
	}
	return card
}

// cover is the largest centred part of r with the proportions width:height.
func cover(r image.Rectangle, width, height int) image.Rectangle {
	w, h := r.Dx(), r.Dy()
	if w*height > h*width {
		w = h * width / height
	} else {
		h = w * height / width
	}
	at := r.Min.Add(image.Pt((r.Dx()-w)/2, (r.Dy()-h)/2))
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}
}

func write(dst draw.Image, ttf []byte, size float64, x, y int, ink color.Color, text string) error {
	parsed, err := opentype.Parse(ttf)
	if err != nil {
		return fmt.Errorf("specimen: parse the font: %w", err)
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return fmt.Errorf("specimen: open the font: %w", err)
	}
	defer face.Close()
	d := font.Drawer{Dst: dst, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
	return nil
}

// printed turns YYMMDD into the day, month and year a reader expects.
func printed(yymmdd string) string {
	if len(yymmdd) != 6 {
		return yymmdd
	}
	return yymmdd[4:] + "." + yymmdd[2:4] + "." + yymmdd[:2]
}

func navy() color.RGBA { return color.RGBA{28, 48, 92, 255} }
func grey() color.RGBA { return color.RGBA{96, 104, 112, 255} }
func ink() color.RGBA  { return color.RGBA{24, 24, 28, 255} }
