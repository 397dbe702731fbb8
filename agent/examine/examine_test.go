package examine_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/draw"
	"image/jpeg"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/specimen"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

func now() time.Time                { return time.Now() }
func since(start time.Time) float64 { return time.Since(start).Seconds() }

func examiner(t testing.TB) *examine.Examiner {
	t.Helper()
	engine, err := inference.Open(modelstest.Open(t), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return examine.New(engine)
}

// photoSet: one man twice, his card, a print of him, three people at once.
type photoSet struct{ holder, large, front, print, group *capture.Frame }

func photos(t testing.TB) photoSet {
	t.Helper()
	holder := decodeFile(t, modelstest.GocvPhoto(t, "face.jpg"))
	other := decodeFile(t, modelstest.GocvPhoto(t, "face-detect.jpg"))
	portrait := image.NewRGBA(image.Rect(0, 0, 128, 128))
	draw.Draw(portrait, portrait.Bounds(), other, image.Pt(143, 90), draw.Src)
	front, err := specimen.Front(portrait, specimen.Holder{
		Surname: "SPECIMEN", GivenNames: "ALEX", Number: "D23145890", Birth: "740812", Expiry: "340811", Sex: "M",
	})
	if err != nil {
		t.Fatal(err)
	}
	return photoSet{
		holder: frame(t, holder), large: enlarged(t, frame(t, holder)), front: frame(t, specimen.OnTable(front)),
		print: frame(t, specimen.HeldPrint(holder)), group: frame(t, decodeFile(t, modelstest.DemoPhoto(t, 3))),
	}
}

func decodeFile(t testing.TB, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := jpeg.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// frame passes a picture through a JPEG file, as an upload does.
func frame(t testing.TB, m image.Image) *capture.Frame {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	f, err := capture.Decode(b.Bytes(), capture.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// enlarged is a picture at 1920×1080, black at the sides.
func enlarged(t testing.TB, f *capture.Frame) *capture.Frame {
	t.Helper()
	var out capture.Frame
	if err := f.Cut(image.Rect(-107, 0, 746, 480), 1920, 1080, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func all() []verify.CheckName {
	return []verify.CheckName{verify.Quality, verify.FaceMatch, verify.Liveness}
}

func TestTheHolderIsAlikeAndPresentAndAPrintIsNot(t *testing.T) {
	x, p := examiner(t), photos(t)
	for name, c := range map[string]struct {
		probe    *capture.Frame
		bonaFide bool
	}{"holder": {p.holder, true}, "holder large": {p.large, true}, "print": {p.print, false}} {
		found, err := x.Examine(t.Context(), examine.Request{Checks: all(), Probe: []*capture.Frame{c.probe}, DocumentFront: p.front})
		if err != nil {
			t.Fatalf("%s: Examine: %v", name, err)
		}
		e := found.Evidence
		if e.FaceMatch == nil || e.FaceMatch.ProbeFaces != 1 || e.FaceMatch.ReferenceFaces < 1 || e.FaceMatch.Score < 0.6 {
			t.Errorf("%s: face match: got faces %d and %d, score above 0.6 %v; want one face each, alike",
				name, e.FaceMatch.ProbeFaces, e.FaceMatch.ReferenceFaces, e.FaceMatch.Score >= 0.6)
		}
		if e.Liveness == nil || (e.Liveness.BonaFide > 0.5) != c.bonaFide {
			t.Errorf("%s: bona fide: got %v, want %v", name, e.Liveness.BonaFide > 0.5, c.bonaFide)
		}
		if e.Liveness.Strength != verify.Still || e.Liveness.Attestation != verify.Unattested {
			t.Errorf("%s: liveness: got %v, %v, want still, unattested", name, e.Liveness.Strength, e.Liveness.Attestation)
		}
		if len(e.Images) != 2 || len(found.Models) != 4 {
			t.Errorf("%s: got %d images and %d models, want 2 and 4", name, len(e.Images), len(found.Models))
		}
		if !(found.Run > 0) {
			t.Errorf("%s: time in the runtime: got %v, want more than 0", name, found.Run)
		}
	}
}

func TestOnlyModelsOfRequestedChecksTakePart(t *testing.T) {
	x, p := examiner(t), photos(t)
	for _, c := range []struct {
		checks []verify.CheckName
		models string
	}{
		{[]verify.CheckName{verify.Liveness}, "face-detector pad"},
		{[]verify.CheckName{verify.FaceMatch}, "face-detector face-encoder"},
		{[]verify.CheckName{verify.Quality}, "face-detector head-pose"},
	} {
		found, err := x.Examine(t.Context(), examine.Request{Checks: c.checks, Probe: []*capture.Frame{p.holder}, DocumentFront: p.front})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range found.Models {
			names = append(names, m.Name)
		}
		if got := strings.Join(names, " "); got != c.models {
			t.Errorf("models of %v: got %q, want %q", c.checks, got, c.models)
		}
	}
}

func TestAReferenceOfAnotherEncoderComparesWithNothing(t *testing.T) {
	x, p := examiner(t), photos(t)
	reference, err := x.Examine(t.Context(), examine.Request{Probe: []*capture.Frame{p.holder}, Describe: true})
	if err != nil || reference.Probe == nil {
		t.Fatalf("Examine: %v", err)
	}
	same := examine.Request{Checks: all(), Probe: []*capture.Frame{p.large}, Reference: reference.Probe}
	found, err := x.Examine(t.Context(), same)
	if err != nil || found.Evidence.FaceMatch.Score < 0.8 || found.Evidence.FaceMatch.Reference != verify.AccountReference {
		t.Errorf("with the same encoder: got alike %v, %v, want alike", found.Evidence.FaceMatch.Score >= 0.8, err)
	}
	same.Reference = &examine.Reference{Embedding: reference.Probe.Embedding, Model: "another"}
	found, err = x.Examine(t.Context(), same)
	if err != nil || !math.IsNaN(float64(found.Evidence.FaceMatch.Score)) || found.Evidence.FaceMatch.Model != "" {
		t.Errorf("with another encoder: got a score, %v, want none", err)
	}
}

func TestSeveralPeopleAreCountedAndBystandersAreNot(t *testing.T) {
	x, p := examiner(t), photos(t)
	found, err := x.Examine(t.Context(), examine.Request{Checks: all(), Probe: []*capture.Frame{p.group}, DocumentFront: p.front})
	if err != nil {
		t.Fatal(err)
	}
	if got := found.Evidence.FaceMatch.ProbeFaces; got != 3 {
		t.Errorf("faces in the group: got %d, want 3", got)
	}
}

func TestSeveralFramesGiveTheMedianAndTheSharpestFace(t *testing.T) {
	x, p := examiner(t), photos(t)
	probe := []*capture.Frame{p.print, p.holder, p.holder, p.holder, p.print}
	for _, f := range probe {
		f.Source = capture.Identity{Kind: capture.KindCamera, Attested: true}
	}
	found, err := x.Examine(t.Context(), examine.Request{Checks: all(), Probe: probe, DocumentFront: p.front})
	if err != nil {
		t.Fatal(err)
	}
	l := found.Evidence.Liveness
	if l.Frames != 5 || l.Strength != verify.Frames || l.Attestation != verify.Attested || !(l.BonaFide > 0.5) {
		t.Errorf("liveness: got %d frames, %v, %v, bona fide %v, want 5, frames, attested, true", l.Frames, l.Strength, l.Attestation, l.BonaFide > 0.5)
	}
	probe[2].Source.Attested = false // the same frame as 1 and 3
	found, err = x.Examine(t.Context(), examine.Request{Checks: all(), Probe: probe, DocumentFront: p.front})
	if err != nil || found.Evidence.Liveness.Attestation != verify.Unattested {
		t.Errorf("with a frame of unknown origin: got attested, %v, want unattested", err)
	}
}

// The face of a print among live frames must not be compared on the strength of
// the others, however sharp it is.
func TestAPrintAmongLiveFramesIsNotCompared(t *testing.T) {
	x, p := examiner(t), photos(t)
	var small, soft capture.Frame
	if err := p.large.Cut(image.Rect(0, 0, 1920, 1080), 480, 270, &small); err != nil {
		t.Fatal(err)
	}
	if err := small.Cut(image.Rect(0, 0, 480, 270), 1920, 1080, &soft); err != nil {
		t.Fatal(err)
	}
	probe := []*capture.Frame{&soft, &soft, p.print, &soft, &soft}
	found, err := x.Examine(t.Context(), examine.Request{Checks: all(), Probe: probe, DocumentFront: p.front})
	if err != nil {
		t.Fatal(err)
	}
	if l := found.Evidence.Liveness; l.BonaFide > 0.5 {
		t.Error("bona fide with the print as the sharpest frame: got more than 0.5, want what the print shows")
	}
}

func TestSeveralViewsDescribeOneFace(t *testing.T) {
	x, p := examiner(t), photos(t)
	one, err := x.Examine(t.Context(), examine.Request{Probe: []*capture.Frame{p.holder}, Describe: true})
	if err != nil {
		t.Fatal(err)
	}
	several, err := x.Examine(t.Context(), examine.Request{Probe: []*capture.Frame{p.holder, p.large, p.holder}, Describe: true})
	if err != nil || several.Probe == nil {
		t.Fatalf("Examine: %v", err)
	}
	if score := inference.Compare(&one.Probe.Embedding, &several.Probe.Embedding); score < 0.95 {
		t.Errorf("one view against three: got a score of %.3f, want above 0.95", score)
	}
}

func TestNobodyToLookAtIsRefused(t *testing.T) {
	x, p := examiner(t), photos(t)
	if _, err := x.Examine(t.Context(), examine.Request{Checks: all(), DocumentFront: p.front}); !errors.Is(err, examine.ErrNoProbe) {
		t.Errorf("Examine without a probe: got %v, want ErrNoProbe", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Examine(ctx, examine.Request{Checks: all(), Probe: []*capture.Frame{p.holder}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Examine after the end of its context: got %v, want context.Canceled", err)
	}
}

// The camera library and plain Go must hand inference the same pictures.
func TestFramesAreReducedAndCutAsInferenceExpects(t *testing.T) {
	p := photos(t)
	engine, err := inference.Open(modelstest.Open(t), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	x := examine.New(engine)
	detector, _, err := engine.Detector()
	if err != nil {
		t.Fatal(err)
	}
	encoder, _, err := engine.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*capture.Frame{"holder": p.holder, "large": p.large} {
		found, err := x.Examine(t.Context(), examine.Request{Probe: []*capture.Frame{f}, Describe: true})
		if err != nil || found.Probe == nil {
			t.Fatalf("%s: Examine: %v", name, err)
		}
		img := inference.Image{Pixels: f.Pixels, Width: f.Width, Height: f.Height}
		faces, err := detector.Find(img, inference.ProbeSearches(), nil)
		if err != nil || len(faces) == 0 {
			t.Fatalf("%s: Find: %d faces, %v", name, len(faces), err)
		}
		points, err := detector.Refine(img, faces[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		v, err := encoder.Embed(img, points, nil)
		if err != nil {
			t.Fatal(err)
		}
		if score := inference.Compare(&v, &found.Probe.Embedding); score < 0.97 {
			t.Errorf("%s: the face through the camera library and through plain Go: got a score of %.3f, want above 0.97", name, score)
		}
	}
}
