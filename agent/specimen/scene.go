package specimen

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

// Size of a photographed scene in pixels.
const (
	SceneWidth  = 1920
	SceneHeight = 1080
)

// OnTable is a card as a hand-held camera sees it on a wooden table: slightly
// turned, unevenly lit, with a sensor's noise.
func OnTable(card image.Image) *image.RGBA {
	scene := table()
	place(scene, card, 0.72*SceneWidth, -3)
	return developed(scene, 7, 0.9, 4)
}

// HeldPrint is a printed attack: photo printed with a white margin on paper
// that is held before a camera. Paper lifts the blacks and dulls colours, the
// printer leaves its raster, and the light on the sheet is not the room's.
func HeldPrint(photo image.Image) *image.RGBA {
	sheet := image.NewRGBA(image.Rect(0, 0, 1120, 920))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.RGBA{236, 233, 226, 255}), image.Point{}, draw.Src)
	inner := sheet.Bounds().Inset(50)
	xdraw.CatmullRom.Scale(sheet, inner, photo, cover(photo.Bounds(), inner.Dx(), inner.Dy()), draw.Src, nil)
	rastered(sheet, inner)
	scene := wall()
	place(scene, sheet, 0.52*SceneWidth, 5)
	return developed(scene, 11, 0.92, 5)
}

// table is wood: long waves of brown.
func table() *image.RGBA {
	scene := image.NewRGBA(image.Rect(0, 0, SceneWidth, SceneHeight))
	for y := range SceneHeight {
		for x := range SceneWidth {
			fx, fy := float64(x), float64(y)
			grain := 10*math.Sin(fy/9+3*math.Sin(fx/420)) + 6*math.Sin(fy/2.7+fx/300)
			scene.SetRGBA(x, y, color.RGBA{level(112 + grain), level(78 + grain*0.8), level(52 + grain*0.6), 255})
		}
	}
	return scene
}

// wall is a plain room out of focus behind the sheet.
func wall() *image.RGBA {
	scene := image.NewRGBA(image.Rect(0, 0, SceneWidth, SceneHeight))
	for y := range SceneHeight {
		for x := range SceneWidth {
			shade := 168 - 40*float64(x)/SceneWidth - 22*float64(y)/SceneHeight
			if x > 1500 { // a door
				shade -= 34
			}
			scene.SetRGBA(x, y, color.RGBA{level(shade), level(shade - 4), level(shade - 14), 255})
		}
	}
	return scene
}

// place draws picture into the middle of scene, width pixels wide, turned by degrees.
func place(scene draw.Image, picture image.Image, width, degrees float64) {
	b := picture.Bounds()
	k := width / float64(b.Dx())
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	cx, cy := float64(b.Dx())/2, float64(b.Dy())/2
	to := f64.Aff3{
		k * cos, -k * sin, SceneWidth/2 - k*(cos*cx-sin*cy),
		k * sin, k * cos, SceneHeight/2 - k*(sin*cx+cos*cy),
	}
	xdraw.CatmullRom.Transform(scene, to, picture, b, draw.Over, nil)
}

// rastered lifts blacks, dulls colours and lays a fine raster over the inner part of a sheet.
func rastered(sheet *image.RGBA, inner image.Rectangle) {
	for y := inner.Min.Y; y < inner.Max.Y; y++ {
		for x := inner.Min.X; x < inner.Max.X; x++ {
			c := sheet.RGBAAt(x, y)
			mean := (float64(c.R) + float64(c.G) + float64(c.B)) / 3
			dot := 7 * math.Sin(float64(x+y)*math.Pi/2.2) * math.Sin(float64(x-y)*math.Pi/2.2)
			tone := func(v uint8, tint float64) uint8 {
				return level(40 + tint + 0.74*(0.8*float64(v)+0.2*mean) + dot)
			}
			sheet.SetRGBA(x, y, color.RGBA{tone(c.R, 6), tone(c.G, 2), tone(c.B, -6), 255})
		}
	}
}

// developed applies uneven light (falling to the given share at the far
// corner) and a sensor's noise of the given deviation.
func developed(scene *image.RGBA, seed uint64, far, noise float64) *image.RGBA {
	random := rand.New(rand.NewPCG(seed, seed))
	b := scene.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := scene.RGBAAt(x, y)
			light := 1.04 - (1.04-far)*(float64(x)/SceneWidth+float64(y)/SceneHeight)/2
			grain := noise * random.NormFloat64()
			scene.SetRGBA(x, y, color.RGBA{
				level(float64(c.R)*light + grain), level(float64(c.G)*light + grain), level(float64(c.B)*light + grain), 255,
			})
		}
	}
	return scene
}

func level(v float64) uint8 { return uint8(min(max(v, 0), 255)) }
