package inference_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image/jpeg"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

// golden is what an independent implementation of the conventions (OpenCV, ONNX
// Runtime, Python) measured on a photo of an installed package: its main face.
type golden struct {
	SHA256    string                `json:"sha256"` // of the photo
	Box       [4]float64            `json:"box"`
	Score     float64               `json:"score"`
	Points    [5][2]float64         `json:"points"`
	Embedding []float64             `json:"embedding"` // its first elements
	PAD       [3]float64            `json:"pad"`
	PADRGB    [3]float64            `json:"pad_rgb"` // with the channels in the wrong order
	Pose      [3]float64            `json:"pose"`
	Landmarks map[string][2]float64 `json:"landmarks"`
}

// Photos are decoded by another library than the reference's, and scaled by
// other code: pixels differ by a few levels, positions by parts of a pixel of
// the detector's input.
const (
	boxTolerance       = 4    // pixels of a photo 1,920 wide
	pointTolerance     = 3    // pixels
	embeddingTolerance = 0.03 // of a unit vector's element
	padTolerance       = 0.05 // probability
	poseTolerance      = 2    // degrees
	landmarkTolerance  = 4    // pixels
)

func goldens(t testing.TB) map[string]golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]golden
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// photo reads a photo of an installed package and checks that it is the one
// that was measured.
func photo(t testing.TB, name, digest string) inference.Image {
	t.Helper()
	var path string
	if n, ok := strings.CutPrefix(strings.TrimSuffix(name, ".jpg"), "sample"); ok {
		number, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		path = modelstest.DemoPhoto(t, number)
	} else {
		path = modelstest.GocvPhoto(t, name)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); digest != "" && hex.EncodeToString(sum[:]) != digest {
		t.Fatalf("%s is not the photo that was measured", path)
	}
	decoded, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	b := decoded.Bounds()
	out := inference.Image{Pixels: make([]byte, 3*b.Dx()*b.Dy()), Width: b.Dx(), Height: b.Dy()}
	for y := range b.Dy() {
		for x := range b.Dx() {
			red, green, blue, _ := decoded.At(x, y).RGBA()
			copy(out.Pixels[3*(y*b.Dx()+x):], []byte{byte(blue >> 8), byte(green >> 8), byte(red >> 8)})
		}
	}
	return out
}

// swapped is the image with red and blue exchanged.
func swapped(m inference.Image) inference.Image {
	out := inference.Image{Pixels: bytes.Clone(m.Pixels), Width: m.Width, Height: m.Height}
	for i := 0; i < len(out.Pixels); i += 3 {
		out.Pixels[i], out.Pixels[i+2] = out.Pixels[i+2], out.Pixels[i]
	}
	return out
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %.4f, want %.4f ± %g", what, got, want, tolerance)
	}
}

func TestFacesAreFoundRefinedAndDescribedAsMeasured(t *testing.T) {
	e := engine(t)
	detector, _, err := e.Detector()
	if err != nil {
		t.Fatal(err)
	}
	encoder, _, err := e.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			img := photo(t, name, want.SHA256)
			faces, err := detector.Find(img, inference.ProbeSearches(), nil)
			if err != nil {
				t.Fatal(err)
			}
			face, ok := inference.MainFace(faces, img.Width, img.Height)
			if !ok {
				t.Fatal("Find: no face")
			}
			near(t, "score", face.Score, want.Score, 0.02)
			for i, got := range [4]float64{face.Box.X, face.Box.Y, face.Box.Width, face.Box.Height} {
				near(t, "box "+strconv.Itoa(i), got, want.Box[i], boxTolerance)
			}
			points, err := detector.Refine(img, face, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range points {
				near(t, "point x "+strconv.Itoa(i), p.X, want.Points[i][0], pointTolerance)
				near(t, "point y "+strconv.Itoa(i), p.Y, want.Points[i][1], pointTolerance)
			}
			v, err := encoder.Embed(img, points, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range want.Embedding {
				near(t, "embedding "+strconv.Itoa(i), float64(v[i]), x, embeddingTolerance)
			}
			wrong, err := encoder.Embed(swapped(img), points, nil)
			if err != nil {
				t.Fatal(err)
			}
			if score := inference.Compare(&v, &wrong); score > 0.97 {
				t.Errorf("Compare with swapped channels: got %.4f, want less: the test must see the channel order", score)
			}
		})
	}
}

func TestPresentationPoseAndLandmarksAreAsMeasured(t *testing.T) {
	e := engine(t)
	pad, entry, err := e.PAD()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(entry.Classes, ","); got != "bona fide,print,screen" {
		t.Errorf("classes of the PAD model: got %q, want bona fide,print,screen", got)
	}
	head, _, err := e.HeadPose()
	if err != nil {
		t.Fatal(err)
	}
	landmarks, _, err := e.Landmarks()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			img := photo(t, name, want.SHA256)
			box := inference.Box{X: want.Box[0], Y: want.Box[1], Width: want.Box[2], Height: want.Box[3]}
			for _, c := range []struct {
				order string
				img   inference.Image
				want  [3]float64
			}{{"BGR", img, want.PAD}, {"RGB", swapped(img), want.PADRGB}} {
				got, err := pad.Examine(c.img, box, nil)
				if err != nil {
					t.Fatal(err)
				}
				near(t, c.order+" bona fide", got.BonaFide, c.want[0], padTolerance)
				near(t, c.order+" print", got.Print, c.want[1], padTolerance)
				near(t, c.order+" screen", got.Screen, c.want[2], padTolerance)
			}
			pose, err := head.Estimate(img, box, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range [3]float64{pose.Yaw, pose.Pitch, pose.Roll} {
				near(t, "pose "+strconv.Itoa(i), got, want.Pose[i], poseTolerance)
			}
			points, err := landmarks.Outline(img, box, nil)
			if err != nil {
				t.Fatal(err)
			}
			for index, at := range want.Landmarks {
				i, err := strconv.Atoi(index)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "landmark x "+index, points[i].X, at[0], landmarkTolerance)
				near(t, "landmark y "+index, points[i].Y, at[1], landmarkTolerance)
			}
		})
	}
}
