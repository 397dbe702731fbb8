package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

func at(threshold float64) models.OperatingPoint {
	return models.OperatingPoint{ID: "face-encoder/fmr-1e-3", Metric: models.FMR, Rate: 1e-3, Threshold: threshold}
}

func TestErrorsAreCountedByCohortAtTheOperatingPoint(t *testing.T) {
	r := tally([]pair{
		{same: true, score: 0.9, cohort: "a"},
		{same: true, score: 0.46, cohort: "a"}, // at the threshold: no match
		{same: false, score: 0.47, cohort: "a"},
		{same: false, score: 0.1, cohort: "a"},
		{same: false, score: 0.46, cohort: "b"}, // at the threshold: no match
		{same: true, score: 0.6},                // of no cohort
	}, at(0.46))
	if p := r.AtOperatingPoint; p.FMR != share(1, 3) || p.FNMR != share(1, 3) || p.Threshold != 0.46 {
		t.Errorf("at the operating point: got %+v, want FMR and FNMR of a third", p)
	}
	a, b := r.Cohorts["a"], r.Cohorts["b"]
	if len(r.Cohorts) != 2 || a != (CohortRates{2, 2, 0.5, 0.5}) || b.Different != 1 || b.FMR != 0 || b.FNMR.known() {
		t.Errorf("cohorts: got %v, want a with halves, and b with FMR 0 and no FNMR", r.Cohorts)
	}
	if r.Pairs != 6 || r.Same != 3 || r.Different != 3 {
		t.Errorf("pairs: got %d, %d, %d, want 6, 3, 3", r.Pairs, r.Same, r.Different)
	}
}

func TestAPairThatWasNotComparedFlattersNothing(t *testing.T) {
	lost := math.NaN()
	r := tally([]pair{
		{same: true, score: 0.9}, {same: true, score: lost},
		{same: false, score: 0.1}, {same: false, score: lost},
	}, at(0.46))
	if r.Pairs != 4 || r.Same != 2 || r.Different != 2 {
		t.Errorf("pairs: got %d, %d, %d, want 4, 2, 2", r.Pairs, r.Same, r.Different)
	}
	if p := r.AtOperatingPoint; p.FNMR != 0.5 || p.FMR != 0 {
		t.Errorf("at the operating point: got FNMR %v, FMR %v, want 0.5 and 0", p.FNMR, p.FMR)
	}
	if r.FNMRAtFMR["0.001"] != 0.5 || r.Accuracy != 0.5 || r.AUC != 0.5 {
		t.Errorf("got FNMR %v, accuracy %v, AUC %v, want 0.5 each", r.FNMRAtFMR["0.001"], r.Accuracy, r.AUC)
	}
}

func TestFacesReportIsTheContract(t *testing.T) {
	r := tally([]pair{
		{same: true, score: 0.75, cohort: "a"}, {same: true, score: 0.25, cohort: "a"},
		{same: false, score: 0.5, cohort: "a"}, {same: false, score: 0, cohort: "b"},
	}, at(0.46))
	r.FailureToAcquire, r.MSPerImage = 1, 27.5
	golden(t, "faces.json", r)
}

// golden compares a report's JSON with a file of testdata, which is never
// changed but by adding fields.
func golden(t *testing.T, name string, report any) {
	t.Helper()
	got, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if got = append(got, '\n'); !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// list writes a CSV file into a new folder that also holds the named files.
func list(t *testing.T, content string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("no picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "list.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFaultyListOfPairsIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          error
		words         string
	}{
		{"no columns", "", ErrEmpty, "list is empty"},
		{"no pairs", "same,file_a,file_b\n", ErrEmpty, "list is empty"},
		{"a missing column", "same,file_a\n1,a.jpg\n", ErrColumn, "file_b"},
		{"a missing file", "same,file_a,file_b\n1,a.jpg,gone.jpg\n", fs.ErrNotExist, "gone.jpg"},
		{"an unknown answer", "same,file_a,file_b\nmaybe,a.jpg,b.jpg\n", ErrValue, `list.csv:2: same: value is not allowed: "maybe"`},
		{"no file named", "same,file_a,file_b\n1,a.jpg,\n", ErrValue, "file_b"},
		{"a short line", "same,file_a,file_b\n1,a.jpg\n", nil, "wrong number of fields"},
	} {
		_, err := readPairs(list(t, c.content, "a.jpg", "b.jpg"))
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: readPairs: got %v, want %v with %q", c.name, err, c.want, c.words)
		}
	}
	if _, err := readPairs(filepath.Join(t.TempDir(), "none.csv")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("readPairs of no file: got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestColumnsAreFoundByNameInAnyOrder(t *testing.T) {
	path := list(t, "\ufefffold,file_b,cohort,same,file_a\n1,b.jpg,x,TRUE,a.jpg\n2,a.jpg,,0,b.jpg\n", "a.jpg", "b.jpg")
	got, err := readPairs(path)
	dir := filepath.Dir(path)
	want := []pair{
		{a: filepath.Join(dir, "a.jpg"), b: filepath.Join(dir, "b.jpg"), same: true, cohort: "x"},
		{a: filepath.Join(dir, "b.jpg"), b: filepath.Join(dir, "a.jpg")},
	}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("readPairs: got %v, %v, want %v", got, err, want)
	}
}

// engine opens the models of this checkout.
func engine(t testing.TB) *inference.Engine {
	t.Helper()
	e, err := inference.Open(modelstest.Open(t), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// faceModel is the encoder's description with a point that was measured for it.
func faceModel(t testing.TB) (models.Entry, models.OperatingPoint) {
	t.Helper()
	entry, err := modelstest.Open(t).Manifest().Entry(models.FaceEncoder)
	if err != nil {
		t.Fatal(err)
	}
	point, err := entry.OperatingPoint(models.FMR, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	return entry, point
}

// person writes a part of a demonstration photo with one person in it as a file.
func person(t testing.TB, path string, photo int, part image.Rectangle) {
	t.Helper()
	file, err := os.Open(modelstest.DemoPhoto(t, photo))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	whole, err := jpeg.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	picture(t, path, whole.(*image.YCbCr).SubImage(part))
}

// picture writes an image as a file.
func picture(t testing.TB, path string, img image.Image) {
	t.Helper()
	data, err := encoded(img)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Two persons of demonstration photo 1.
func leftPerson() image.Rectangle  { return image.Rect(230, 200, 780, 760) }
func rightPerson() image.Rectangle { return image.Rect(1280, 60, 1890, 640) }

// blank is a picture of nothing.
func blank() image.Image { return onWall(image.NewRGBA(image.Rect(0, 0, 16, 9)), 1) }

func TestFacesOfRealPhotosAreToldApart(t *testing.T) {
	entry, point := faceModel(t)
	path := list(t, "same,file_a,file_b\n1,left.jpg,nearer.jpg\n0,left.jpg,right.jpg\n1,right.jpg,wall.jpg\n")
	dir := filepath.Dir(path)
	person(t, filepath.Join(dir, "left.jpg"), 1, leftPerson())
	person(t, filepath.Join(dir, "nearer.jpg"), 1, leftPerson().Inset(60))
	person(t, filepath.Join(dir, "right.jpg"), 1, rightPerson())
	picture(t, filepath.Join(dir, "wall.jpg"), blank())
	var told [][2]int
	r, err := Faces(t.Context(), examine.New(engine(t)), entry, point, path, FacesOptions{
		Workers: 2, Progress: func(done, total int) { told = append(told, [2]int{done, total}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	// The pair with the wall is the one that is lost.
	if p := r.AtOperatingPoint; p.FMR != 0 || p.FNMR != 0.5 || r.FailureToAcquire != 1 || r.Pairs != 3 {
		t.Errorf("Faces: got %+v, want FMR 0, FNMR 0.5 and one picture without a face", r)
	}
	if len(told) != 4 || told[3] != [2]int{4, 4} {
		t.Errorf("progress: got %v, want four pictures described once each", told)
	}
	if !(r.MSPerImage > 0) {
		t.Errorf("ms_per_image: got %v, want more than 0", r.MSPerImage)
	}
}

func TestAnOperatingPointOfAnotherModelIsRefused(t *testing.T) {
	entry, point := faceModel(t)
	entry.SHA256 = strings.Repeat("0", 64)
	path := list(t, "same,file_a,file_b\n1,left.jpg,left.jpg\n")
	person(t, filepath.Join(filepath.Dir(path), "left.jpg"), 1, leftPerson())
	if _, err := Faces(t.Context(), examine.New(engine(t)), entry, point, path, FacesOptions{}); !errors.Is(err, ErrModel) {
		t.Errorf("Faces with another model's point: got %v, want %v", err, ErrModel)
	}
}

func TestAPictureThatIsNoneIsNamed(t *testing.T) {
	entry, point := faceModel(t)
	path := list(t, "same,file_a,file_b\n1,a.jpg,a.jpg\n", "a.jpg")
	_, err := Faces(t.Context(), examine.New(engine(t)), entry, point, path, FacesOptions{})
	if err == nil || !strings.Contains(err.Error(), "a.jpg") {
		t.Errorf("Faces of a text file: got %v, want an error that names it", err)
	}
}
