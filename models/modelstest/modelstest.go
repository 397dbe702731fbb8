// Package modelstest opens the prepared models for tests of any package of this module.
// It imports testing and belongs in test files only.
package modelstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/models"
)

// Open returns the store of this checkout: the folder of the environment, else
// .cache/models beside go.mod. The test fails if there is none.
func Open(t testing.TB) *models.Store {
	t.Helper()
	dir := os.Getenv(models.DirEnv)
	if dir == "" {
		dir = filepath.Join(Root(t), ".cache", "models")
	}
	s, err := models.Open(dir)
	if err != nil {
		t.Fatalf("models.Open(%q): %v; run `make setup` first", dir, err)
	}
	return s
}

// Root returns the folder of go.mod above the test's own.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the folder of the test")
		}
		dir = parent
	}
}

// DemoPhoto returns the path of one of the six demonstration photos, n from 1 to 6, of the
// installed package @vladmandic/face-api (MIT): real faces for tests. They are not shipped.
func DemoPhoto(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(Root(t), "models", "node_modules", "@vladmandic", "face-api", "demo",
		"sample"+string(rune('0'+n))+".jpg")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("demonstration photo %d: %v; run `make setup` first", n, err)
	}
	return path
}

// GocvPhoto returns the path of a picture of the gocv module, such as face.jpg.
func GocvPhoto(t testing.TB, name string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "images", name)
}
