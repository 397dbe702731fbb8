package measure

import (
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/specimen"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

// judged is an item as it comes from examination.
func judged(label, attack string, result verify.Result, bonaFide Rate, faces int) PADItem {
	return PADItem{
		File: "x.jpg", Label: label, Attack: attack, Subject: "p1", Result: result,
		Frames: min(faces, 1), Faces: faces, BonaFide: bonaFide, Print: 0.25, Screen: 0.125,
	}
}

// presentations has every case that counts differently.
func presentations() []PADItem {
	return []PADItem{
		judged("live", "", verify.True, 0.75, 1),
		judged("live", "", verify.False, 0.25, 1),
		judged("live", "", verify.Flagged, 0.5, 1),    // sent to a person: not accepted
		judged("live", "", verify.Unknown, none(), 0), // no face found
		judged("spoof", "print_photo", verify.False, 0.125, 1),
		judged("spoof", "print_photo", verify.Unknown, none(), 0),
		judged("spoof", "screen_replay", verify.True, 0.625, 1),
		judged("live_digital", "", verify.True, 0.875, 1),
		judged("multi_face", "", verify.Unknown, 0.875, 3),
	}
}

func TestPresentationsAreCountedBySpeciesAndNeverAveraged(t *testing.T) {
	r := count(presentations())
	if want := (BonaFideRates{4, 0.75, 1}); r.BonaFide != want {
		t.Errorf("bona fide: got %+v, want %+v", r.BonaFide, want)
	}
	if got, want := r.Species["print_photo"], (SpeciesRates{2, 0, 1}); got != want {
		t.Errorf("print_photo: got %+v, want %+v", got, want)
	}
	if got, want := r.Species["screen_replay"], (SpeciesRates{1, 1, 0}); got != want {
		t.Errorf("screen_replay: got %+v, want %+v", got, want)
	}
	if r.Apart["live_digital"] != (Accepted{1, 1}) || r.Apart["multi_face"] != (Accepted{1, 0}) {
		t.Errorf("apart: got %+v, want one accepted and one not", r.Apart)
	}
	// Of three persons and two attacks with a face, 0.75 beats both, 0.5 and 0.25 one.
	if want := Rate(4.0 / 6); r.AUC != want {
		t.Errorf("AUC: got %v, want %v", r.AUC, want)
	}
	if got, want := r.Subjects["p1"], (SubjectErrors{4, 3, 3, 1}); got != want {
		t.Errorf("subject: got %+v, want %+v", got, want)
	}
}

func TestPADReportIsTheContract(t *testing.T) {
	r := count(presentations())
	r.MSPerItem, r.OperatingPoint = 12.5, "pad/natural"
	r.Items = presentations()[3:5]
	golden(t, "pad.json", r)
}

func TestAFaultyListOfPresentationsIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          error
		words         string
	}{
		{"no rows", "file,label\n", ErrEmpty, "list is empty"},
		{"a missing column", "file,attack\na.jpg,none\n", ErrColumn, "label"},
		{"an unknown label", "file,label\na.jpg,alive\n", ErrValue, `"alive"; allowed are live, spoof`},
		{"a spoof of no species", "file,label,attack\na.jpg,spoof,none\n", ErrValue, "attack"},
		{"a spoof without the column", "file,label\na.jpg,spoof\n", ErrColumn, "attack"},
		{"a missing file", "file,label\ngone.mp4,live\n", fs.ErrNotExist, "gone.mp4"},
	} {
		_, _, err := readPresentations(list(t, c.content, "a.jpg"))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: readPresentations: got %v, want %v with %q", c.name, err, c.want, c.words)
		}
	}
}

// shippedJudge trusts the checkout's models as the device does.
func shippedJudge(t testing.TB) verify.Judge {
	t.Helper()
	m := modelstest.Open(t).Manifest()
	pad, err := m.Entry(models.PAD)
	if err != nil {
		t.Fatal(err)
	}
	natural, err := pad.OperatingPoint(models.Natural, 0)
	if err != nil {
		t.Fatal(err)
	}
	entry, face := faceModel(t)
	at := verify.OperatingPoint{ID: natural.ID, Rate: natural.Rate, Threshold: natural.Threshold}
	return verify.Judge{
		Policy: verify.InstantPolicy(),
		Faces: []verify.FaceModel{{SHA256: entry.SHA256, Points: []verify.OperatingPoint{
			{ID: face.ID, Rate: face.Rate, Threshold: face.Threshold},
		}}},
		PAD: []verify.PADModel{{SHA256: pad.SHA256, Accept: at, Refuse: at}},
	}
}

func TestAPersonIsAcceptedAndAPrintedPhotoIsNot(t *testing.T) {
	path := list(t, "attack,label,file\nnone,live,person.jpg\nprint_photo,spoof,held.jpg\nprint_photo,spoof,wall.jpg\n")
	dir := filepath.Dir(path)
	person(t, filepath.Join(dir, "person.jpg"), 1, leftPerson())
	file, err := os.Open(filepath.Join(dir, "person.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	photo, err := jpeg.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	picture(t, filepath.Join(dir, "held.jpg"), specimen.HeldPrint(photo))
	picture(t, filepath.Join(dir, "wall.jpg"), blank())
	r, err := PAD(t.Context(), examine.New(engine(t)), shippedJudge(t), path, PADOptions{Items: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.BonaFide != (BonaFideRates{1, 0, 0}) || r.Species["print_photo"] != (SpeciesRates{2, 0, 1}) || r.AUC != 1 {
		t.Errorf("PAD: got %+v, want the person accepted, the print refused, the wall without response", r)
	}
	if r.OperatingPoint != "pad/natural" || len(r.Items) != 3 || r.Items[0].Result != verify.True || r.Items[1].Result != verify.False {
		t.Errorf("PAD: got point %q and items %+v, want pad/natural, true and false", r.OperatingPoint, r.Items)
	}
}

func TestAJudgeWithoutTheModelAcceptsNobody(t *testing.T) {
	path := list(t, "file,label\nperson.jpg,live\n")
	person(t, filepath.Join(filepath.Dir(path), "person.jpg"), 1, leftPerson())
	r, err := PAD(t.Context(), examine.New(engine(t)), verify.Judge{Policy: verify.InstantPolicy()}, path, PADOptions{})
	if err != nil || r.BonaFide.BPCER != 1 {
		t.Errorf("PAD by a judge that knows no model: got %+v, %v, want BPCER 1", r.BonaFide, err)
	}
}

func TestFramesOfAClipAreTakenEvenly(t *testing.T) {
	dir := t.TempDir()
	for i := range 15 {
		picture(t, filepath.Join(dir, fmt.Sprintf("%02d.jpg", i)), image.NewGray(image.Rect(0, 0, 16, 16)))
	}
	frames, err := readProbe(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, f := range frames {
		got = append(got, f.Sequence)
	}
	if want := []uint64{2, 4, 6, 8, 10, 12, 14}; !slices.Equal(got, want) {
		t.Errorf("readProbe of 15 pictures: got numbers %v, want %v", got, want)
	}
	broken := list(t, "file,label\n", "clip.mp4")
	if _, err := readProbe(t.Context(), filepath.Join(filepath.Dir(broken), "clip.mp4")); !errors.Is(err, capture.ErrNoPictures) {
		t.Errorf("readProbe of a text: got %v, want %v", err, capture.ErrNoPictures)
	}
}

func TestTheReportsPrintWhatMatters(t *testing.T) {
	var out strings.Builder
	faces := tally([]pair{{same: true, score: 0.9, cohort: "women"}, {same: false, score: 0.5, cohort: "women"}}, at(0.46))
	pad := count(presentations())
	pad.Items = presentations()
	for _, print := range []func(io.Writer) error{faces.Print, pad.Print} {
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"worst FMR", "BPCER 75.00 %", "screen_replay", "APCER 100.00 %", "accepted 1", "x.jpg"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("Print: %q is missing in\n%s", want, out.String())
		}
	}
}
