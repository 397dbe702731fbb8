package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/edgeverify/edgeverify/agent/specimen"
)

// pictures are the files of the demonstration.
type pictures struct {
	front, back     string // of the specimen card
	genuine         string // the holder, in another photo than the card's
	impostor, print string // somebody else; a print of the holder
}

// compose takes photos from installed packages and makes the card and the attack of them.
func compose(ctx context.Context, folder string) (pictures, error) {
	p := pictures{
		front: filepath.Join(folder, "card-front.jpg"), back: filepath.Join(folder, "card-back.jpg"),
		impostor: filepath.Join(folder, "impostor.jpg"), print: filepath.Join(folder, "print.jpg"),
	}
	gocv, err := moduleFolder(ctx, "gocv.io/x/gocv")
	if err != nil {
		return p, err
	}
	// One man in two photos of the gocv module: a clean one, and one in which
	// a face detector's frame was drawn; the portrait lies inside the frame.
	p.genuine = filepath.Join(gocv, "images", "face.jpg")
	holder, err := read(p.genuine, image.Rectangle{})
	if err != nil {
		return p, err
	}
	portrait, err := read(filepath.Join(gocv, "images", "face-detect.jpg"), image.Rect(143, 90, 271, 218))
	if err != nil {
		return p, err
	}
	stranger, err := read("models/node_modules/@vladmandic/face-api/demo/sample3.jpg", image.Rect(880, 60, 1420, 760))
	if err != nil {
		return p, err
	}
	h := specimen.Holder{Surname: "SPECIMEN", GivenNames: "ALEX MARTIN", Number: "D23145890", Birth: "740812", Expiry: "340811", Sex: "M"}
	front, err := specimen.Front(portrait, h)
	if err != nil {
		return p, err
	}
	back, err := specimen.Back(h)
	if err != nil {
		return p, err
	}
	return p, errors.Join(
		write(p.front, specimen.OnTable(front)), write(p.back, specimen.OnTable(back)),
		write(p.impostor, stranger), write(p.print, specimen.HeldPrint(holder)),
	)
}

// moduleFolder is where the go command keeps a module of this build.
func moduleFolder(ctx context.Context, module string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// read decodes a photo; part, where it is not empty, is all that is taken of it.
func read(path string, part image.Rectangle) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w (run `make setup` in the project's root)", err)
	}
	defer f.Close()
	photo, _, err := image.Decode(f)
	if err != nil || part.Empty() {
		return photo, err
	}
	cropper, ok := photo.(interface {
		SubImage(image.Rectangle) image.Image
	})
	if !ok || !part.In(photo.Bounds()) {
		return nil, fmt.Errorf("%s: not the photo that was expected", path)
	}
	return cropper.SubImage(part), nil
}

func write(path string, picture image.Image) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return jpeg.Encode(f, picture, &jpeg.Options{Quality: 92})
}
