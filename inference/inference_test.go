package inference_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

func TestAFaceThatFillsTheFrameIsFoundWithABorder(t *testing.T) {
	img := photo(t, "face.jpg", "")
	close, err := img.Cut(262, 150, 184, 250, 184, 250)
	if err != nil {
		t.Fatal(err)
	}
	detector, _, err := engine(t).Detector()
	if err != nil {
		t.Fatal(err)
	}
	faces, err := detector.Find(close, inference.ProbeSearches(), nil)
	if err != nil || len(faces) != 1 {
		t.Fatalf("Find: got %d faces, %v, want 1", len(faces), err)
	}
	if box := faces[0].Box; box.Width < 100 || box.Width > 230 {
		t.Errorf("Find: got a face %.0f pixels wide, want about 174", box.Width)
	}
}

func TestAPictureWithoutAFaceGivesNone(t *testing.T) {
	detector, _, err := engine(t).Detector()
	if err != nil {
		t.Fatal(err)
	}
	grey := inference.Image{Pixels: bytes.Repeat([]byte{128}, 3*640*480), Width: 640, Height: 480}
	faces, err := detector.Find(grey, inference.ProbeSearches(), nil)
	if err != nil || len(faces) != 0 {
		t.Errorf("Find on grey: got %d faces, %v, want none", len(faces), err)
	}
	if _, ok := inference.MainFace(nil, 640, 480); ok {
		t.Error("MainFace of none: got one")
	}
}

func TestTasksRefuseWhatIsNoImage(t *testing.T) {
	e := engine(t)
	detector, _, err := e.Detector()
	if err != nil {
		t.Fatal(err)
	}
	encoder, _, err := e.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	pad, _, err := e.PAD()
	if err != nil {
		t.Fatal(err)
	}
	whole := inference.Image{Pixels: make([]byte, 3*64*64), Width: 64, Height: 64}
	for name, m := range map[string]inference.Image{
		"zero":     {},
		"short":    {Pixels: make([]byte, 10), Width: 64, Height: 64},
		"negative": {Pixels: make([]byte, 10), Width: -1, Height: 1},
	} {
		if _, err := detector.Find(m, inference.ProbeSearches(), nil); err == nil {
			t.Errorf("Find on a %s image: got nil, want an error", name)
		}
		if _, err := pad.Examine(m, inference.Box{Width: 10, Height: 10}, nil); err == nil {
			t.Errorf("Examine on a %s image: got nil, want an error", name)
		}
	}
	var same [5]inference.Point
	nan := same
	nan[2].X = math.NaN()
	for name, points := range map[string][5]inference.Point{"one place": same, "NaN": nan} {
		if _, err := encoder.Embed(whole, points, nil); !errors.Is(err, inference.ErrPoints) {
			t.Errorf("Embed with points at %s: got %v, want ErrPoints", name, err)
		}
	}
	if _, err := detector.Find(whole, []inference.Search{{Size: 100}}, nil); err == nil || !strings.Contains(err.Error(), "multiple of 32") {
		t.Errorf("Find at size 100: got %v, want the rule named", err)
	}
}

func TestPictureGivesTheSameWhereverItIsCut(t *testing.T) {
	img := photo(t, "face.jpg", "")
	small, err := img.Fit(320)
	if err != nil || small.Width != 320 || small.Height != 240 {
		t.Fatalf("Fit(320): got %d×%d, %v, want 320×240", small.Width, small.Height, err)
	}
	whole, err := img.Cut(0, 0, img.Width, img.Height, 320, 240)
	if err != nil || !bytes.Equal(small.Pixels, whole.Pixels) {
		t.Errorf("Cut of everything: got other pixels than Fit, %v", err)
	}
	outside, err := img.Cut(-20, -20, 10, 10, 10, 10)
	if err != nil || !bytes.Equal(outside.Pixels, make([]byte, 300)) {
		t.Errorf("Cut outside: got %v, %v, want black", outside.Pixels, err)
	}
	if _, err := img.Cut(0, 0, 0, 5, 5, 5); err == nil {
		t.Error("Cut of nothing: got nil, want an error")
	}
}

func TestAnEmbeddingCannotBePrinted(t *testing.T) {
	v := inference.Embedding{0.123456, 0.654321}
	var log bytes.Buffer
	// Without the time, whose digits may be any.
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	slog.New(slog.NewTextHandler(&log, timeless)).Info("face", "embedding", v)
	for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%v %+v %#v %s", v, v, v, v), log.String()} {
		if strings.Contains(text, "123456") || strings.Contains(text, "0.65") {
			t.Errorf("printed embedding: got %q, want nothing of it", text)
		}
	}
}

func TestCompareOfNothingIsNaN(t *testing.T) {
	var zero inference.Embedding
	one := inference.Embedding{1}
	if got := inference.Compare(&zero, &one); !math.IsNaN(got) {
		t.Errorf("Compare with a zero vector: got %v, want NaN", got)
	}
	if got := inference.Compare(&one, &one); math.Abs(got-1) > 1e-9 {
		t.Errorf("Compare with itself: got %v, want 1", got)
	}
}

func TestAModelThatIsNotWhatTheManifestSaysIsNotLoaded(t *testing.T) {
	from := modelstest.Open(t)
	dir := t.TempDir()
	for _, name := range []string{models.PAD + ".onnx", from.Manifest().Runtime.File} {
		data, err := os.ReadFile(from.Dir() + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if name == models.PAD+".onnx" {
			data[len(data)/2] ^= 1
		}
		if err := os.WriteFile(dir+"/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := inference.Open(store, inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, _, err := e.PAD(); !errors.Is(err, models.ErrDigest) || !strings.Contains(err.Error(), models.PAD) {
		t.Errorf("PAD with one bit flipped: got %v, want ErrDigest naming the model", err)
	}
	if _, _, err := e.Encoder(); !errors.Is(err, models.ErrMissing) || !strings.Contains(err.Error(), models.FaceEncoder) {
		t.Errorf("Encoder without its file: got %v, want ErrMissing naming the model", err)
	}
}

func TestAChangedRuntimeIsNotLoaded(t *testing.T) {
	dir := t.TempDir()
	name := modelstest.Open(t).Manifest().Runtime.File
	if err := os.WriteFile(dir+"/"+name, []byte("not the library"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := inference.Open(store, inference.Options{}); err == nil {
		e.Close()
		t.Error("Open with another library: got an engine, want an error")
	}
}

// TestTenThousandInferencesLeaveMemoryFlat runs every face task; the cheapest
// makes up the number.
func TestTenThousandInferencesLeaveMemoryFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("not run: ten thousand inferences take seconds")
	}
	e := engine(t)
	img := photo(t, "face.jpg", "")
	detector, _, err := e.Detector()
	if err != nil {
		t.Fatal(err)
	}
	encoder, _, err := e.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	pad, _, err := e.PAD()
	if err != nil {
		t.Fatal(err)
	}
	landmarks, _, err := e.Landmarks()
	if err != nil {
		t.Fatal(err)
	}
	faces, err := detector.Find(img, inference.ProbeSearches(), nil)
	if err != nil || len(faces) == 0 {
		t.Fatalf("Find: got %d faces, %v", len(faces), err)
	}
	all := func(rounds, cheap int) {
		for range rounds {
			_, err1 := detector.Find(img, inference.ProbeSearches(), nil)
			_, err2 := encoder.Embed(img, faces[0].Points, nil)
			_, err3 := pad.Examine(img, faces[0].Box, nil)
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Fatal(err)
			}
		}
		for range cheap {
			if _, err := landmarks.Outline(img, faces[0].Box, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	all(20, 500)
	before := resident(t)
	all(150, 9400) // with the mirror images: ten thousand runs
	if grown := resident(t) - before; grown > 24<<20 {
		t.Errorf("10,000 inferences: resident memory grew by %d MiB, want at most 24", grown>>20)
	}
}

// resident is the process's resident memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
