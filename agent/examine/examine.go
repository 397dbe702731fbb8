// Package examine turns pictures into evidence. It is the one place where
// capture, inference and the domain meet: it decides which looks at which
// picture a check needs, runs independent ones in parallel, and hands what was
// measured to package verify, which alone judges. It keeps nothing and decides
// nothing.
package examine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models"
)

// ErrNoProbe means that a check needs a picture of the person and none was given.
var ErrNoProbe = errors.New("examine: no picture of the person")

// Examiner measures. It is safe for concurrent use.
type Examiner struct {
	engine *inference.Engine
	spare  sync.Pool // see picture
}

// New makes an examiner over the models of engine, which stays the caller's.
func New(engine *inference.Engine) *Examiner {
	return &Examiner{engine: engine}
}

// Request is what is to be examined.
type Request struct {
	// Checks to gather evidence for; models of other checks are not loaded.
	Checks []verify.CheckName
	// Probe holds one still picture of the person, or the frames of one source
	// in the order in which they were taken; Frames says that it is the latter,
	// though there be one.
	Probe  []*capture.Frame
	Frames bool
	// DocumentFront and DocumentBack are nil where none was given.
	DocumentFront, DocumentBack *capture.Frame
	// Reference is what the probe is compared with instead of the document's portrait.
	Reference *Reference
	// Describe asks for the probe's description even where no check needs it.
	Describe bool
}

// Reference describes an enrolled face.
type Reference struct {
	Embedding inference.Embedding
	Model     string // SHA-256 of the encoder that made it, lower-case hex
}

// Examination is what was measured.
type Examination struct {
	Evidence verify.Evidence
	// Probe describes the person's face; nil where that was neither needed nor possible.
	Probe *Reference
	// Models that took part, by name.
	Models []verify.Model
	// Timings by stage.
	Timings map[string]time.Duration
	// Run is the time inside the runtime on the longest chain of stages.
	Run time.Duration
}

// Examine measures what the requested checks need. A face that is missing, not
// alike or presented is evidence; an error means that a model could not be
// loaded or gave no measurement, or that ctx ended.
func (x *Examiner) Examine(ctx context.Context, request Request) (*Examination, error) {
	if len(request.Probe) == 0 && (request.Describe || slices.ContainsFunc(request.Checks, needsProbe)) {
		return nil, ErrNoProbe
	}
	e := &examination{
		examiner: x, request: request,
		models: map[string]verify.Model{}, timings: map[string]time.Duration{}, durations: map[verify.CheckName]time.Duration{},
	}
	defer e.release()
	var probe probeReading
	var portrait portraitReading
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		probe, err = e.readProbe(ctx)
		return err
	})
	g.Go(func() (err error) {
		portrait, err = e.readDocument(ctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	return e.conclude(probe, portrait), nil
}

func needsProbe(c verify.CheckName) bool { return c == verify.FaceMatch || c == verify.Liveness }

// examination is one Examine in progress.
type examination struct {
	examiner *Examiner
	request  Request

	mu        sync.Mutex
	pictures  []*picture
	models    map[string]verify.Model
	timings   map[string]time.Duration
	durations map[verify.CheckName]time.Duration
}

func (e *examination) wants(c verify.CheckName) bool { return slices.Contains(e.request.Checks, c) }

// used notes that a model took part.
func (e *examination) used(m models.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.models[m.Name] = verify.Model{Name: m.Name, Version: m.Version, SHA256: m.SHA256}
}

// took adds the time since start to a stage and to the check it serves, if any.
func (e *examination) took(stage string, check verify.CheckName, start time.Time) {
	d := time.Since(start)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timings[stage] += d
	if check != "" {
		e.durations[check] += d
	}
}

// load gets a task with its model, whose loading is a stage of its own.
func load[T any](e *examination, get func() (T, models.Entry, error)) (T, models.Entry, error) {
	defer e.took("load", "", time.Now())
	return get()
}

// conclude assembles the evidence from both readings.
func (e *examination) conclude(probe probeReading, portrait portraitReading) *Examination {
	out := &Examination{Probe: probe.described, Timings: e.timings, Run: max(probe.run, portrait.run)}
	for _, name := range slices.Sorted(maps.Keys(e.models)) {
		out.Models = append(out.Models, e.models[name])
	}
	ev := &out.Evidence
	ev.Durations = e.durations
	if e.wants(verify.Quality) {
		ev.Images = append(probe.quality, portrait.quality...)
	}
	if e.wants(verify.FaceMatch) {
		ev.FaceMatch = e.compare(probe, portrait)
	}
	if e.wants(verify.Liveness) {
		ev.Liveness = probe.liveness
	}
	return out
}

// compare gives the evidence of a comparison, with a score only where both
// sides were described by the same model.
func (e *examination) compare(probe probeReading, portrait portraitReading) *verify.FaceMatchEvidence {
	m := &verify.FaceMatchEvidence{ProbeFaces: probe.faces, Model: probe.model}
	reference := portrait.described
	m.Reference, m.ReferenceFaces = verify.DocumentPortrait, portrait.faces
	switch {
	case e.request.Reference != nil:
		reference, m.Reference, m.ReferenceFaces = e.request.Reference, verify.AccountReference, 1
	case e.request.DocumentFront == nil:
		return nil
	}
	m.Score = notMeasured()
	if probe.described == nil || reference == nil {
		return m
	}
	if reference.Model != probe.described.Model {
		// Descriptions of two encoders do not compare; the judge knows neither's score.
		m.Model = ""
		return m
	}
	m.Score = verify.Score(inference.Compare(&probe.described.Embedding, &reference.Embedding))
	return m
}
