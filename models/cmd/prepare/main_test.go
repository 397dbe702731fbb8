package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

func TestInstalledPackagesGiveWhatTheManifestPins(t *testing.T) {
	root, out := modelstest.Root(t), t.TempDir()
	for _, arch := range []string{"amd64", "arm64"} { // the second finds the models there and replaces the library
		err := run([]string{"-out", out, "-arch", arch, "-npm", filepath.Join(root, "models", "node_modules"),
			"-wheels", filepath.Join(root, ".cache", "wheels"), "-repository", filepath.Join(root, "models")})
		if err != nil {
			t.Fatalf("prepare for %s: %v; run `make setup` first", arch, err)
		}
	}
}

func TestEveryFaultOfASourceIsTold(t *testing.T) {
	out := t.TempDir()
	err := run([]string{"-out", out, "-npm", t.TempDir(), "-wheels", t.TempDir(), "-repository", t.TempDir()})
	if err == nil {
		t.Fatal("prepare from empty folders = nil, want an error")
	}
	for _, name := range []string{models.FaceDetector, models.PAD, models.TextDetector, "runtime"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("prepare from empty folders = %v, which does not name %s", err, name)
		}
	}
	left, err := os.ReadDir(out)
	if err != nil || len(left) != 0 {
		t.Errorf("prepare from empty folders left %v (error %v), want nothing", left, err)
	}
}

func TestAChangedSourceIsNotPrepared(t *testing.T) {
	npm, out := t.TempDir(), t.TempDir()
	path := filepath.Join(npm, "package", "model.onnx")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := models.Entry{Name: "m", Source: models.Source{
		Package: models.Package{Registry: "npm", Name: "package", Version: "1"},
		Path:    "model.onnx", SHA256: strings.Repeat("0", 64), Prepare: models.PrepareVerbatim}}
	if err := (sources{npm: npm}).model(e, out); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("model() of a changed source = %v, want an error about its SHA-256", err)
	}
	e.Source.SHA256 = digest([]byte("changed"))
	if err := (sources{npm: npm}).model(e, out); err == nil || !strings.Contains(err.Error(), "prepared file") {
		t.Errorf("model() with another result = %v, want an error about the prepared file", err)
	}
	if _, err := os.Stat(filepath.Join(out, "m.onnx")); !os.IsNotExist(err) {
		t.Errorf("the refused file is there (Stat: %v)", err)
	}
}

func TestWheelMustBeTheOnlyOneOfItsVersion(t *testing.T) {
	dir := t.TempDir()
	pack := func(name string) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		z := zip.NewWriter(f)
		w, err := z.Create("p/model.onnx")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("weights")); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := sources{wheels: dir}
	p := models.Package{Registry: "pypi", Name: "p", Version: "1.0"}
	if data, err := s.read(p, "p/model.onnx"); err == nil {
		t.Errorf("read() without a wheel = %q, want an error", data)
	}
	pack("p-1.0-py3-none-any.whl")
	if data, err := s.read(p, "p/model.onnx"); err != nil || string(data) != "weights" {
		t.Errorf("read() = %q, %v, want weights", data, err)
	}
	if data, err := s.read(p, "p/other.onnx"); err == nil {
		t.Errorf("read() of a file that is not in it = %q, want an error", data)
	}
	pack("p-1.0-cp311-none-any.whl")
	if data, err := s.read(p, "p/model.onnx"); err == nil {
		t.Errorf("read() with two wheels = %q, want an error", data)
	}
}
