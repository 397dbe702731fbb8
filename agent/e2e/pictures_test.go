//go:build e2e || soak

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/edgeverify/edgeverify/agent/specimen"
)

// album holds the pictures of the tests as JPEG files.
type album struct {
	genuine     []byte // the holder of the card, 640×480
	impostor    []byte // somebody else
	print       []byte // a print of the holder before the camera
	front, back []byte // of the card
	nobody      []byte // a picture without a face
	clip        []byte // a video without a face
}

// pictures are made once for all tests: of photos in installed packages, and
// of package specimen.
func pictures(t *testing.T) album {
	t.Helper()
	a, err := composed()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var composed = sync.OnceValues(compose)

func compose() (a album, err error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv").Output()
	if err != nil {
		return a, fmt.Errorf("find the photos of gocv: %w", err)
	}
	photos := filepath.Join(strings.TrimSpace(string(out)), "images")
	if a.genuine, err = os.ReadFile(filepath.Join(photos, "face.jpg")); err != nil {
		return a, err
	}
	if a.clip, err = os.ReadFile(filepath.Join(photos, "small.mp4")); err != nil {
		return a, err
	}
	holder, err := jpeg.Decode(bytes.NewReader(a.genuine))
	if err != nil {
		return a, err
	}
	// The same man in another photo, inside the frame that was drawn around his face.
	portrait, err := part(filepath.Join(photos, "face-detect.jpg"), image.Rect(143, 90, 271, 218))
	if err != nil {
		return a, err
	}
	stranger, err := part(filepath.Join(root, "models/node_modules/@vladmandic/face-api/demo/sample3.jpg"), image.Rect(880, 60, 1420, 760))
	if err != nil {
		return a, err
	}
	h := specimen.Holder{Surname: surname, GivenNames: "ALEX MARTIN", Number: number, Birth: "740812", Expiry: "340811", Sex: "M"}
	front, err := specimen.Front(portrait, h)
	if err != nil {
		return a, err
	}
	back, err := specimen.Back(h)
	if err != nil {
		return a, err
	}
	for _, picture := range []struct {
		from image.Image
		to   *[]byte
	}{
		{specimen.OnTable(front), &a.front}, {specimen.OnTable(back), &a.back}, {specimen.OnTable(back), &a.nobody},
		{stranger, &a.impostor}, {specimen.HeldPrint(holder), &a.print},
	} {
		data, encoded := encode(picture.from)
		*picture.to, err = data, errors.Join(err, encoded)
	}
	return a, err
}

// What a card says of its holder and no record or log may.
const (
	surname = "SPECIMEN"
	number  = "D23145890"
)

// part cuts a rectangle out of a JPEG file.
func part(path string, r image.Rectangle) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	photo, err := jpeg.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cropper, ok := photo.(interface {
		SubImage(image.Rectangle) image.Image
	})
	if !ok || !r.In(photo.Bounds()) {
		return nil, fmt.Errorf("%s: not the photo that was expected", path)
	}
	return cropper.SubImage(r), nil
}

func encode(picture image.Image) ([]byte, error) {
	var out bytes.Buffer
	err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: 92})
	return out.Bytes(), err
}

// decode reads a JPEG that a test made.
func decode(t *testing.T, data []byte) image.Image {
	t.Helper()
	picture, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}
