package measure

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"

	xdraw "golang.org/x/image/draw"

	"github.com/edgeverify/edgeverify/agent/specimen"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// onWall shows a photo whole before a plain wall, at the bottom, as large as fits
// into the given share of the scene.
func onWall(photo image.Image, share float64) *image.RGBA {
	scene := image.NewRGBA(image.Rect(0, 0, specimen.SceneWidth, specimen.SceneHeight))
	draw.Draw(scene, scene.Bounds(), image.NewUniform(color.RGBA{150, 156, 160, 255}), image.Point{}, draw.Src)
	b := photo.Bounds()
	k := share * min(float64(specimen.SceneWidth)/float64(b.Dx()), float64(specimen.SceneHeight)/float64(b.Dy()))
	w, h := int(math.Round(float64(b.Dx())*k)), int(math.Round(float64(b.Dy())*k))
	at := image.Pt((specimen.SceneWidth-w)/2, specimen.SceneHeight-h)
	xdraw.ApproxBiLinear.Scale(scene, image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}, photo, b, draw.Src, nil)
	return scene
}

// head is the part of a picture that a portrait on a document shows.
func head(picture *image.RGBA, face inference.Box) image.Image {
	cx, cy := face.X+face.Width/2, face.Y+face.Height/2
	w, h := face.Width, face.Height*1.05
	part := image.Rect(int(cx-w), int(cy-h), int(cx+w), int(cy+h))
	return picture.SubImage(part)
}

// rgba copies a frame into an image of the standard library.
func rgba(f *capture.Frame) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	for i := range f.Width * f.Height {
		out.Pix[4*i], out.Pix[4*i+1], out.Pix[4*i+2], out.Pix[4*i+3] = f.Pixels[3*i+2], f.Pixels[3*i+1], f.Pixels[3*i], 255
	}
	return out
}

func encoded(picture image.Image) ([]byte, error) {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, picture, &jpeg.Options{Quality: 90}); err != nil {
		return nil, fmt.Errorf("encode a picture: %w", err)
	}
	return file.Bytes(), nil
}
