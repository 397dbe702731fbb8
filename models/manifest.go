package models

import (
	"bytes"
	_ "embed" // the manifest
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
)

//go:embed manifest.json
var embedded []byte

// SchemaVersion is the version of the manifest's form that this program reads.
const SchemaVersion = 1

// A Manifest describes every model and the runtime library, with their digests.
type Manifest struct {
	Schema  int     `json:"schema"`
	Runtime Runtime `json:"runtime"`
	Models  []Entry `json:"models"`
}

// A Runtime describes the shared library that executes models.
type Runtime struct {
	Name      string              `json:"name"`
	Version   string              `json:"version"`
	Licence   string              `json:"licence"` // SPDX
	Source    Package             `json:"source"`
	File      string              `json:"file"`      // in the models folder
	Platforms map[string]Platform `json:"platforms"` // by GOOS/GOARCH
}

// A Platform is the runtime library of one operating system and processor.
type Platform struct {
	Path   string `json:"path"` // within the package
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// A Package names something that installs from a registry, or "repository" for a file
// of this repository.
type Package struct {
	Registry string `json:"registry"` // npm, pypi or repository
	Name     string `json:"name"`
	Version  string `json:"version"`
}

// An Entry describes one model.
type Entry struct {
	Name            string           `json:"name"`
	Version         string           `json:"version"`
	Source          Source           `json:"source"`
	SHA256          string           `json:"sha256"` // of the prepared file, lower-case hexadecimal
	Bytes           int64            `json:"bytes"`  // of the prepared file
	Licence         string           `json:"licence"`
	Origin          string           `json:"origin"`        // who published the weights first
	TrainingData    string           `json:"training_data"` // as published, or "none named"
	Inputs          []Input          `json:"inputs"`
	Outputs         []Output         `json:"outputs"`
	Classes         []string         `json:"classes,omitempty"` // in the order of the output
	OperatingPoints []OperatingPoint `json:"operating_points,omitempty"`
	Golden          []Golden         `json:"golden"`
}

// A Source says where the weights come from and how they are prepared.
type Source struct {
	Package
	Path    string `json:"path"` // within the package
	SHA256  string `json:"sha256"`
	Prepare string `json:"prepare"` // one of the Prepare constants
}

// How a source file becomes the file that is run.
const (
	PrepareVerbatim = "verbatim"        // copied
	PrepareFold     = "fold"            // constants folded, PRelu split, unread inputs dropped
	PrepareFoldFree = "fold, free size" // the same, height and width of the input opened
	PrepareCentred  = "fold, centred"   // the same as fold, the shift of the embedding negated
)

// An Input is an input tensor: its shape and how pixels become its elements.
type Input struct {
	Name     string    `json:"name"`
	Shape    []int64   `json:"shape"`    // −1 where free
	Layout   string    `json:"layout"`   // NCHW
	Channels string    `json:"channels"` // BGR, RGB or grey
	Mean     []float32 `json:"mean"`     // per channel, in pixel values 0–255
	Scale    []float32 `json:"scale"`    // element = (pixel − mean)·scale
	Crop     string    `json:"crop"`     // what the image shows, in words
	Margin   float64   `json:"margin"`   // side of the crop over the side of the face box; 0: see Crop
	Multiple int64     `json:"multiple"` // free sizes are multiples of this; 0: any
}

// An Output is an output tensor.
type Output struct {
	Name    string  `json:"name"`
	Shape   []int64 `json:"shape"` // −1 where free
	Meaning string  `json:"meaning"`
}

var (
	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	fileForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// maxBytes bounds what a manifest may ask a device to read into memory for one file.
const maxBytes = 512 << 20

// Embedded returns the manifest that this program was built with.
func Embedded() (*Manifest, error) {
	return ParseManifest(embedded)
}

// ParseManifest reads a manifest. Unknown fields are refused, and every fault is listed.
func ParseManifest(data []byte) (*Manifest, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("decode model manifest: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("decode model manifest: data after its end")
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("model manifest: %w", err)
	}
	return &m, nil
}

// Entry returns the description of a model, or an [Error] with [ErrUnknown].
func (m *Manifest) Entry(name string) (Entry, error) {
	for _, e := range m.Models {
		if e.Name == name {
			return e, nil
		}
	}
	return Entry{}, &Error{Model: name, Err: ErrUnknown}
}

// faults collects what is wrong, each with its place.
type faults []error

func (f *faults) check(ok bool, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(format, args...))
	}
}

func (m *Manifest) validate() error {
	var f faults
	f.check(m.Schema == SchemaVersion, "schema %d, want %d", m.Schema, SchemaVersion)
	m.Runtime.validate(&f)
	seen := map[string]bool{}
	for i, e := range m.Models {
		f.check(!seen[e.Name], "models[%d]: %q is described twice", i, e.Name)
		seen[e.Name] = true
		e.validate(&f, fmt.Sprintf("models[%d] %q", i, e.Name))
	}
	return errors.Join(f...)
}

func (r Runtime) validate(f *faults) {
	f.check(r.Licence != "", "runtime: %w", ErrLicence)
	f.check(r.Name != "" && r.Version != "", "runtime: name or version is missing")
	f.check(fileForm.MatchString(r.File), "runtime: file %q is not a plain file name", r.File)
	f.check(len(r.Platforms) > 0, "runtime: no platform")
	for platform, p := range r.Platforms {
		f.check(digestForm.MatchString(p.SHA256), "runtime %s: sha256 %q is not 64 lower-case hexadecimal digits", platform, p.SHA256)
		f.check(p.Bytes > 0 && p.Bytes <= maxBytes, "runtime %s: %d bytes, want 1 to %d", platform, p.Bytes, maxBytes)
		f.check(p.Path != "", "runtime %s: path is missing", platform)
	}
}

func (e Entry) validate(f *faults, at string) {
	f.check(nameForm.MatchString(e.Name), "%s: a name is lower-case letters, digits and hyphens", at)
	f.check(e.Version != "", "%s: version is missing", at)
	f.check(e.Licence != "", "%s: %w", at, ErrLicence)
	f.check(e.TrainingData != "", `%s: training_data is missing; write "none named" if nothing was published`, at)
	f.check(digestForm.MatchString(e.SHA256), "%s: sha256 %q is not 64 lower-case hexadecimal digits", at, e.SHA256)
	f.check(digestForm.MatchString(e.Source.SHA256), "%s: source sha256 %q is not 64 lower-case hexadecimal digits", at, e.Source.SHA256)
	f.check(e.Bytes > 0 && e.Bytes <= maxBytes, "%s: %d bytes, want 1 to %d", at, e.Bytes, maxBytes)
	f.check(slices.Contains([]string{"npm", "pypi", "repository"}, e.Source.Registry), "%s: unknown registry %q", at, e.Source.Registry)
	f.check(e.Source.Path != "", "%s: source path is missing", at)
	f.check(slices.Contains([]string{PrepareVerbatim, PrepareFold, PrepareFoldFree, PrepareCentred}, e.Source.Prepare), "%s: unknown preparation %q", at, e.Source.Prepare)
	f.check(len(e.Inputs) > 0, "%s: no input", at)
	f.check(len(e.Outputs) > 0, "%s: no output", at)
	for _, in := range e.Inputs {
		f.check(in.Name != "" && len(in.Shape) > 0, "%s: an input without name or shape", at)
		f.check(slices.Contains([]string{"BGR", "RGB", "grey"}, in.Channels), "%s: input %q has unknown channels %q", at, in.Name, in.Channels)
		f.check(len(in.Mean) == len(in.Scale), "%s: input %q has %d means and %d scales", at, in.Name, len(in.Mean), len(in.Scale))
	}
	ids := map[string]bool{}
	for _, p := range e.OperatingPoints {
		f.check(p.ID != "" && !ids[p.ID], "%s: operating point %q has no id of its own", at, p.ID)
		ids[p.ID] = true
		f.check(p.Metric == Natural && p.Rate == 0 || p.Rate > 0 && p.Rate < 1, "%s: operating point %q has rate %v", at, p.ID, p.Rate)
		f.check(p.Threshold > 0 && p.Threshold < 1, "%s: operating point %q has threshold %v, want more than 0 and less than 1", at, p.ID, p.Threshold)
		f.check(p.Metric != "" && p.MeasuredOn != "", "%s: operating point %q does not say what was measured on what", at, p.ID)
	}
	for i, g := range e.Golden {
		g.validate(f, fmt.Sprintf("%s: golden[%d]", at, i))
	}
}
