package measure

import (
	"errors"
	"image"

	"github.com/edgeverify/edgeverify/agent/specimen"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// ErrNoFace means that the picture to measure with shows no face.
var ErrNoFace = errors.New("no face is found in the picture")

// pictures are what one instant call uploads: JPEG files of 1920×1080.
type pictures struct{ selfie, front, back []byte }

// compose makes the pictures around a face, which is drawn where none is given.
func compose(engine *inference.Engine, given []byte) (pictures, error) {
	var scene image.Image
	if given == nil {
		// At arm's length from a camera a face fills a third of the height.
		scene = onWall(portrait(600), 0.7)
	} else {
		frame, err := capture.Decode(given, capture.Limits{})
		if err != nil {
			return pictures{}, err
		}
		scene = onWall(rgba(frame), 1)
	}
	selfie, err := encoded(scene)
	if err != nil {
		return pictures{}, err
	}
	frame, err := capture.Decode(selfie, capture.Limits{})
	if err != nil {
		return pictures{}, err
	}
	detector, _, err := engine.Detector()
	if err != nil {
		return pictures{}, err
	}
	face, err := mainFace(detector, frame)
	if err != nil {
		return pictures{}, err
	}
	holder := specimen.Holder{
		Surname: "Specimen", GivenNames: "Alex", Number: "D23145890", Birth: "740812", Expiry: "340811", Sex: "X",
	}
	front, err := specimen.Front(head(rgba(frame), face.Box), holder)
	if err != nil {
		return pictures{}, err
	}
	back, err := specimen.Back(holder)
	if err != nil {
		return pictures{}, err
	}
	out := pictures{selfie: selfie}
	if out.front, err = encoded(specimen.OnTable(front)); err != nil {
		return pictures{}, err
	}
	out.back, err = encoded(specimen.OnTable(back))
	return out, err
}
