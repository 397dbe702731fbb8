// Package models owns the weights: the manifest that describes them, loading them so
// that no changed byte reaches the runtime, and the operating points that were measured
// with them. Its folders prepare packaged weights (prepare, graph, cmd/prepare).
//
// It knows no images, no inference and no decisions, and imports nothing of this module
// but its own folders.
package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/edgeverify/edgeverify/models/graph"
)

// Why a model or the runtime library was refused. Refusals of the ONNX content are
// [graph.ErrExternalData], [graph.ErrCustomDomain], [graph.ErrFunction] and
// [graph.ErrMalformed].
var (
	ErrUnknown  = errors.New("not in the manifest")
	ErrMissing  = errors.New("file is missing")
	ErrSize     = errors.New("size differs from the manifest")
	ErrDigest   = errors.New("SHA-256 differs from the manifest")
	ErrLicence  = errors.New("licence is missing")
	ErrPlatform = errors.New("no runtime library for this platform")
)

// An Error names the model, or "runtime", that was refused.
type Error struct {
	Model string
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("model %s: %v", e.Model, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Names of the models that the manifest describes.
const (
	FaceDetector   = "face-detector"
	FaceEncoder    = "face-encoder"
	PAD            = "pad"
	Landmarks      = "landmarks"
	HeadPose       = "head-pose"
	EyeState       = "eye-state"
	TextDetector   = "text-detector"
	TextRecogniser = "text-recogniser"
	TextDirection  = "text-direction"
)

// A Model is a verified model: its description and the ONNX file.
type Model struct {
	Entry
	ONNX []byte
}

// A Store reads models from a folder that holds NAME.onnx for each model and the runtime
// library. It keeps no file open.
type Store struct {
	dir      string
	manifest *Manifest
}

// DirEnv is the environment variable that names the models folder.
const DirEnv = "EDGEVERIFY_MODELS"

// installedDir is where the package puts models.
const installedDir = "/usr/lib/edgeverify/models"

// DefaultDir returns the folder named by the environment, else the folder "models" beside
// the program (a checkout's bin, an update slot), else that of the installed package.
func DefaultDir() string {
	if dir := os.Getenv(DirEnv); dir != "" {
		return dir
	}
	if program, err := os.Executable(); err == nil {
		dir := filepath.Join(filepath.Dir(program), "models")
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return installedDir
}

// Open opens the models folder under the manifest that this program was built with. An
// empty dir means [DefaultDir]. It reads no model yet.
func Open(dir string) (*Store, error) {
	m, err := Embedded()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = DefaultDir()
	}
	return OpenWith(dir, m)
}

// OpenWith opens the models folder under another manifest.
func OpenWith(dir string, m *Manifest) (*Store, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open models folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open models folder: %s is not a folder", dir)
	}
	return &Store{dir: dir, manifest: m}, nil
}

// Dir returns the folder that the store reads.
func (s *Store) Dir() string { return s.dir }

// Manifest returns the manifest that the store holds files to. It must not be changed.
func (s *Store) Manifest() *Manifest { return s.manifest }

// Load reads the model called name and checks it against the manifest and for content
// that must not reach a runtime. The bytes returned are those that were hashed. Every
// refusal is an [*Error].
func (s *Store) Load(name string) (*Model, error) {
	e, err := s.manifest.Entry(name)
	if err != nil {
		return nil, err
	}
	if e.Licence == "" {
		return nil, &Error{name, ErrLicence}
	}
	data, err := readVerified(filepath.Join(s.dir, e.Name+".onnx"), e.Bytes, e.SHA256)
	if err != nil {
		return nil, &Error{name, err}
	}
	if err := graph.Check(data); err != nil {
		return nil, &Error{name, err}
	}
	return &Model{Entry: e, ONNX: data}, nil
}

// Runtime returns the path of the ONNX Runtime library after checking its digest. The
// dynamic loader opens the path again: whoever may write to the folder can change the
// file in between, so the folder belongs to root on a device.
func (s *Store) Runtime() (string, error) {
	r := s.manifest.Runtime
	p, ok := r.Platforms[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", &Error{"runtime", fmt.Errorf("%w: %s/%s", ErrPlatform, runtime.GOOS, runtime.GOARCH)}
	}
	path, err := filepath.Abs(filepath.Join(s.dir, r.File))
	if err != nil {
		return "", &Error{"runtime", err}
	}
	if err := verifyFile(path, p.Bytes, p.SHA256); err != nil {
		return "", &Error{"runtime", err}
	}
	return path, nil
}

// Verify checks every model and the runtime library, and returns all refusals joined.
func (s *Store) Verify() error {
	var errs []error
	for _, e := range s.manifest.Models {
		_, err := s.Load(e.Name)
		errs = append(errs, err)
	}
	_, err := s.Runtime()
	return errors.Join(append(errs, err)...)
}

// openSized opens a regular file of exactly size bytes.
func openSized(path string, size int64) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrMissing, path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%w: %d bytes, want %d", ErrSize, info.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readVerified reads a file once and hashes what it read.
func readVerified(path string, size int64, digest string) ([]byte, error) {
	f, err := openSized(path, size)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSize, err)
	}
	sum := sha256.Sum256(data)
	if err := compare(sum[:], digest); err != nil {
		return nil, err
	}
	return data, nil
}

// verifyFile hashes a file without keeping it.
func verifyFile(path string, size int64, digest string) error {
	f, err := openSized(path, size)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, size)); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return compare(h.Sum(nil), digest)
}

func compare(sum []byte, digest string) error {
	if got := hex.EncodeToString(sum); got != digest {
		return fmt.Errorf("%w: %s, want %s", ErrDigest, got, digest)
	}
	return nil
}
