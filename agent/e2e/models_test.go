//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// modelsFolder is the folder of models that this machine's daemon would use,
// every file under its name but those that change spoils.
func modelsFolder(t *testing.T, change func(t *testing.T, dir string)) string {
	t.Helper()
	from := os.Getenv("EDGEVERIFY_MODELS")
	if from == "" {
		from = filepath.Join(root, "bin", "models")
	}
	from, err := filepath.Abs(from)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	for _, f := range files {
		if err := os.Symlink(filepath.Join(from, f.Name()), filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	change(t, dir)
	return dir
}

// missing is a folder without a file.
func missing(name string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// spoilt is a folder in which a file is another than it should be.
func spoilt(name string, change func([]byte) []byte) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		missing(name)(t, dir)
		if err := os.WriteFile(path, change(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedModelsAreRefusedByName(t *testing.T) {
	t.Parallel()
	flip := func(data []byte) []byte { data[len(data)/3] ^= 1; return data }
	cut := func(data []byte) []byte { return data[:len(data)-1] }
	const library = "libonnxruntime.so.1.30"
	for _, damage := range []struct {
		name   string
		change func(t *testing.T, dir string)
		says   []string
	}{
		{"a model is missing", missing("face-detector.onnx"), []string{"face-detector", "missing"}},
		{"a bit is flipped", spoilt("pad.onnx", flip), []string{"pad", "SHA-256"}},
		{"a byte is missing", spoilt("head-pose.onnx", cut), []string{"head-pose", "size"}},
		{"the runtime is missing", missing(library), []string{"runtime", "missing"}},
		{"a bit of the runtime is flipped", spoilt(library, flip), []string{"runtime", "SHA-256"}},
	} {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, "")
			d.env = []string{"EDGEVERIFY_MODELS=" + modelsFolder(t, damage.change)}
			for _, args := range [][]string{{"run"}, {"models", "verify"}, {"doctor"}} {
				r := d.run(args...)
				r.want(t, 2, damage.says...)
				t.Logf("%-13s %s", args[0], line(r, damage.says[0]))
			}
		})
	}
}

func TestMissingModelsFolderIsRefusedByName(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "models: /no/such/folder\n")
	d.env = []string{"EDGEVERIFY_MODELS=/no/such/folder"}
	for _, args := range [][]string{{"run"}, {"models", "verify"}, {"doctor"}} {
		d.run(args...).want(t, 2, "/no/such/folder")
	}
}

// line is the first line of what was said with word in it.
func line(r result, word string) string {
	for text := range strings.Lines(r.stderr + r.stdout) {
		if strings.Contains(text, word) {
			return strings.TrimSpace(text)
		}
	}
	return ""
}
