package capture

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// folder reads image files one after another.
type folder struct {
	paths    []string
	limits   Limits
	interval time.Duration
	read     int
}

func openFolder(t target, opts Options) (*folder, error) {
	fps := opts.FPS
	if fps == 0 {
		fps = defaultFolderFPS
	}
	f := &folder{limits: opts.Limits, interval: time.Duration(float64(time.Second) / fps)}
	if t.identity.Kind == KindImage {
		f.paths = []string{t.location}
		return f, nil
	}
	entries, err := os.ReadDir(t.location) // sorted by name
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() && isImageName(e.Name()) {
			f.paths = append(f.paths, filepath.Join(t.location, e.Name()))
		}
	}
	if len(f.paths) == 0 {
		return nil, ErrNoPictures
	}
	return f, nil
}

func (f *folder) grab(into *Frame) error {
	if f.read == len(f.paths) {
		return io.EOF
	}
	path := f.paths[f.read]
	into.Mono = time.Duration(f.read) * f.interval
	f.read++
	if err := readImageInto(path, f.limits, into); err != nil {
		return fmt.Errorf("picture %d of %d: %w", f.read, len(f.paths), err)
	}
	return nil
}

func (f *folder) close() {}
