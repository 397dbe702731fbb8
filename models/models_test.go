package models_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/graph"
	pb "github.com/edgeverify/edgeverify/models/internal/onnxtest"
)

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// relu is a complete model of one operator.
func relu() []byte {
	return pb.Model(pb.Node("Relu", []string{"x"}, []string{"y"}), pb.Input("x", 1), pb.Output("y", 1))
}

// manifest describes content as the model "small" and library as the runtime.
func manifest(content, library []byte) *models.Manifest {
	return &models.Manifest{
		Schema: models.SchemaVersion,
		Runtime: models.Runtime{
			Name: "ONNX Runtime", Version: "1", Licence: "MIT", File: "libonnxruntime.so",
			Platforms: map[string]models.Platform{
				runtime.GOOS + "/" + runtime.GOARCH: {Path: "lib", SHA256: digest(library), Bytes: int64(len(library))},
			},
		},
		Models: []models.Entry{{
			Name: "small", Version: "1", SHA256: digest(content), Bytes: int64(len(content)), Licence: "MIT", TrainingData: "none named",
			Source:  models.Source{Package: models.Package{Registry: "repository"}, Path: "small.onnx", SHA256: digest(content), Prepare: models.PrepareVerbatim},
			Inputs:  []models.Input{{Name: "x", Shape: []int64{1}, Channels: "grey"}},
			Outputs: []models.Output{{Name: "y", Shape: []int64{1}}},
		}},
	}
}

// store writes content and a library to a new folder and opens it under the manifest m.
func store(t *testing.T, content, library []byte, m *models.Manifest) *models.Store {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"small.onnx": content, "libonnxruntime.so": library} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := models.OpenWith(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoadReturnsTheBytesThatWereHashed(t *testing.T) {
	content := relu()
	m, err := store(t, content, nil, manifest(content, nil)).Load("small")
	if err != nil {
		t.Fatal(err)
	}
	if string(m.ONNX) != string(content) || m.Name != "small" {
		t.Errorf("Load(small) = %d bytes of %q, want the %d bytes of small", len(m.ONNX), m.Name, len(content))
	}
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	content := relu()
	m := manifest(content, nil)
	for i := range content {
		changed := append([]byte(nil), content...)
		changed[i] ^= 1
		got, err := store(t, changed, nil, m).Load("small")
		if !errors.Is(err, models.ErrDigest) || got != nil {
			t.Fatalf("Load() with byte %d flipped = %v, %v, want ErrDigest", i, got, err)
		}
	}
}

func TestLoadRefusals(t *testing.T) {
	content := relu()
	refused := func(content []byte) func(*models.Manifest) { // a manifest that pins bad content
		return func(m *models.Manifest) { m.Models[0].SHA256, m.Models[0].Bytes = digest(content), int64(len(content)) }
	}
	external := pb.Model(pb.Initialiser(pb.Join(pb.Floats("w", nil, 1), pb.Varint(14, 1))))
	custom := pb.Model(pb.Node("Relu", nil, nil, pb.Bytes(7, []byte("com.example"))))
	tests := map[string]struct {
		name    string
		content []byte
		change  func(*models.Manifest)
		want    error
	}{
		"unknown name":          {"smaller", content, nil, models.ErrUnknown},
		"name of a path":        {"../small", content, nil, models.ErrUnknown},
		"truncated":             {"small", content[:len(content)-1], nil, models.ErrSize},
		"one byte more":         {"small", append(relu(), 0), nil, models.ErrSize},
		"empty":                 {"small", nil, nil, models.ErrSize},
		"missing licence":       {"small", content, func(m *models.Manifest) { m.Models[0].Licence = "" }, models.ErrLicence},
		"external data":         {"small", external, refused(external), graph.ErrExternalData},
		"custom operator":       {"small", custom, refused(custom), graph.ErrCustomDomain},
		"pinned, but not ONNX":  {"small", []byte("pinned"), refused([]byte("pinned")), graph.ErrMalformed},
		"file missing":          {"other", content, func(m *models.Manifest) { m.Models[0].Name = "other" }, models.ErrMissing},
		"wrong digest expected": {"small", content, func(m *models.Manifest) { m.Models[0].SHA256 = strings.Repeat("0", 64) }, models.ErrDigest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := manifest(content, nil)
			if tt.change != nil {
				tt.change(m)
			}
			got, err := store(t, tt.content, nil, m).Load(tt.name)
			if !errors.Is(err, tt.want) || got != nil {
				t.Fatalf("Load(%q) = %v, %v, want %v", tt.name, got, err, tt.want)
			}
			var named *models.Error
			if !errors.As(err, &named) || named.Model != tt.name {
				t.Errorf("Load(%q) = %v, which does not name the model", tt.name, err)
			}
		})
	}
}

func TestLoadRefusesAFolderInPlaceOfAFile(t *testing.T) {
	content := relu()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "small.onnx"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := models.OpenWith(dir, manifest(content, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load("small"); err == nil {
		t.Errorf("Load(small) = %v of a folder", got)
	}
}

func TestOpenRefusesAMissingFolder(t *testing.T) {
	if s, err := models.Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("Open(missing folder) = %v, want an error", s)
	}
}

func TestRuntimeIsVerified(t *testing.T) {
	content, library := relu(), []byte("library")
	m := manifest(content, library)
	s := store(t, content, library, m)
	path, err := s.Runtime()
	if want := filepath.Join(s.Dir(), "libonnxruntime.so"); err != nil || path != want {
		t.Errorf("Runtime() = %q, %v, want %q", path, err, want)
	}
	if err := s.Verify(); err != nil {
		t.Errorf("Verify() = %v, want nil", err)
	}
	if path, err := store(t, content, []byte("librarY"), m).Runtime(); !errors.Is(err, models.ErrDigest) || path != "" {
		t.Errorf("Runtime() of a changed library = %q, %v, want ErrDigest", path, err)
	}
	m.Runtime.Platforms = map[string]models.Platform{"plan9/amd64": {}}
	if path, err := s.Runtime(); !errors.Is(err, models.ErrPlatform) || path != "" {
		t.Errorf("Runtime() of another platform = %q, %v, want ErrPlatform", path, err)
	}
}

func TestVerifyListsEveryRefusal(t *testing.T) {
	m := manifest(relu(), []byte("library"))
	err := store(t, relu()[1:], []byte("another"), m).Verify()
	if !errors.Is(err, models.ErrSize) || !errors.Is(err, models.ErrDigest) {
		t.Errorf("Verify() = %v, want the model's size and the library's digest", err)
	}
}

func TestOperatingPointsAreOnlyThoseMeasured(t *testing.T) {
	m, err := models.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Entry(models.FaceEncoder)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := e.OperatingPoint(models.FMR, 1e-3); err != nil || p.Rate != 1e-3 || p.N == 0 {
		t.Errorf("OperatingPoint(fmr, 1e-3) = %+v, %v", p, err)
	}
	p, err := e.OperatingPoint(models.FMR, 1e-4)
	var unmeasured *models.UnmeasuredError
	if !errors.As(err, &unmeasured) || len(unmeasured.Measured) != 2 {
		t.Fatalf("OperatingPoint(fmr, 1e-4) = %+v, %v, want an UnmeasuredError with two rates", p, err)
	}
	if got := err.Error(); !strings.Contains(got, "0.001, 0.01") {
		t.Errorf("the error %q does not name the rates that were measured", got)
	}
	for _, rate := range []float64{math.NaN(), 0, -1} {
		if p, err := e.OperatingPoint(models.FMR, rate); err == nil {
			t.Errorf("OperatingPoint(fmr, %v) = %+v, want an error", rate, p)
		}
	}
}

func TestNothingPassesByAccident(t *testing.T) {
	var zero models.OperatingPoint
	p := models.OperatingPoint{ID: "p", Threshold: 0.5}
	for _, tt := range []struct {
		point models.OperatingPoint
		score float64
		want  bool
	}{{zero, 1, false}, {p, 0.5, false}, {p, math.NaN(), false}, {p, 0.51, true}} {
		if got := tt.point.Pass(tt.score); got != tt.want {
			t.Errorf("%+v.Pass(%v) = %v, want %v", tt.point, tt.score, got, tt.want)
		}
	}
}

func TestGoldenInputIsTheDocumentedSequence(t *testing.T) {
	g := models.Golden{Shape: []int64{1, 4}, Seed: 1, Low: 0, High: 255}
	want := []float32{60.296153, 94.164009, 128.58171, 179.74522}
	got := g.Elements()
	for i := range want {
		if len(got) != 4 || math.Abs(float64(got[i]-want[i])) > 1e-3 {
			t.Fatalf("Elements() = %v, want %v", got, want)
		}
	}
}

func TestGoldenMatchRefusesWhatIsMissingOrNaN(t *testing.T) {
	g := models.Golden{Tolerance: 0.01}
	want := models.GoldenOutput{Index: []int{0, 2}, Values: []float64{1, 3}}
	for _, tt := range []struct {
		got  []float32
		want bool
	}{
		{[]float32{1, 9, 3.005}, true},
		{[]float32{1, 9, 3.02}, false},
		{[]float32{1, 9}, false},
		{[]float32{1, 9, float32(math.NaN())}, false},
	} {
		if got := g.Match(want, tt.got); got != tt.want {
			t.Errorf("Match(%v) = %v, want %v", tt.got, got, tt.want)
		}
	}
	if g.Match(models.GoldenOutput{}, []float32{1}) {
		t.Error("an empty expectation matches")
	}
}

func TestManifestListsEveryFault(t *testing.T) {
	m := manifest(relu(), []byte("library"))
	m.Schema = 2
	m.Models[0].Name = "../small"
	m.Models[0].Licence = ""
	m.Models[0].SHA256 = "ABC"
	m.Models[0].Inputs[0].Channels = "rgb"
	m.Models[0].OperatingPoints = []models.OperatingPoint{{ID: "p", Metric: models.FMR, Rate: 0, MeasuredOn: "nothing"}}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	_, err = models.ParseManifest(data)
	if err == nil {
		t.Fatal("ParseManifest() = nil, want six faults")
	}
	for _, want := range []string{"schema 2", "lower-case letters", "licence", `"ABC"`, `"rgb"`, "rate 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("ParseManifest() = %v, which does not tell of %s", err, want)
		}
	}
	if !errors.Is(err, models.ErrLicence) {
		t.Errorf("ParseManifest() = %v, want ErrLicence among them", err)
	}
}

func TestManifestRefusesUnknownFieldsAndTrailingData(t *testing.T) {
	data, err := json.Marshal(manifest(relu(), []byte("library")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := models.ParseManifest(data); err != nil {
		t.Fatalf("ParseManifest() = %v, want nil", err)
	}
	for name, changed := range map[string]string{
		"unknown field": strings.Replace(string(data), `"licence"`, `"licence_url":"","licence"`, 1),
		"trailing data": string(data) + "{}",
		"truncated":     string(data[:len(data)-1]),
		"twice":         strings.Replace(string(data), `"models":[`, `"models":[`+string(mustMarshal(t, manifest(relu(), nil).Models[0]))+`,`, 1),
	} {
		if _, err := models.ParseManifest([]byte(changed)); err == nil {
			t.Errorf("%s: ParseManifest() = nil, want an error", name)
		}
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzParseManifest(f *testing.F) {
	data, err := json.Marshal(manifest(relu(), []byte("library")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"schema":1,"runtime":{},"models":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := models.ParseManifest(data)
		if err != nil {
			return
		}
		for _, e := range m.Models {
			if e.Licence == "" || len(e.SHA256) != 64 || strings.ContainsAny(e.Name, "/.\\") {
				t.Errorf("ParseManifest accepts %+v", e)
			}
		}
	})
}
