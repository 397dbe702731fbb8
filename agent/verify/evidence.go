package verify

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Evidence is what an examination measured. It never leaves the device; a nil
// part was not measured.
type Evidence struct {
	Images    []ImageQuality
	FaceMatch *FaceMatchEvidence
	Liveness  *LivenessEvidence
	Durations map[CheckName]time.Duration
}

// ImageQuality describes one examined image.
type ImageQuality struct {
	Input         Input
	Width, Height int // pixels as decoded, upright
	Faces         int // faces found; judged on a selfie only
	// Findings are the faults that the capture measured, such as ImageBlurred
	// or Glare. Any finding fails the check.
	Findings []Reason
}

// FaceMatchEvidence is one comparison of a probe with a reference.
type FaceMatchEvidence struct {
	Score          Score  // cosine similarity, -1 to 1, higher is more alike
	Model          string // SHA-256 of the encoder, lower-case hex
	Reference      ReferenceKind
	ProbeFaces     int // faces found in the probe; exactly one is comparable
	ReferenceFaces int // faces found in the reference; at least one is needed
}

// A ReferenceKind says what the probe was compared with.
type ReferenceKind string

// The kinds of reference.
const (
	DocumentPortrait ReferenceKind = "document_portrait"
	ChipPortrait     ReferenceKind = "chip_portrait"
	AccountReference ReferenceKind = "account_reference"
)

// LivenessEvidence is what presentation attack detection (ISO/IEC 30107-3)
// measured on the probe.
type LivenessEvidence struct {
	Strength    Strength
	Attestation Attestation
	Frames      int    // frames that were measured
	Faces       int    // faces in the probe; exactly one can be judged
	BonaFide    Score  // median over the frames of the bona fide probability, 0 to 1
	Print       Score  // the same for the PAI species "printed photo"
	Screen      Score  // the same for the PAI species "screen"
	Model       string // SHA-256 of the network, lower-case hex
	// Signals are further detectors. Each can lower the result, none can raise it.
	Signals []Signal
}

// A Signal is one further sign of an attack, such as a moiré pattern. Above its
// operating point, or when it is no number, it turns a pass into Flagged.
type Signal struct {
	Reason Reason
	Score  Score // higher means more like an attack
	Point  OperatingPoint
}

// A Score is a comparison or classifier score. It cannot be printed, logged or
// marshalled: only bands leave the judge.
type Score float64

// ErrScore reports an attempt to serialise a score.
var ErrScore = errors.New("a score never leaves the judge")

// Format hides the score from every verb of fmt.
func (Score) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[score]")) }

// LogValue hides the score from slog.
func (Score) LogValue() slog.Value { return slog.StringValue("[score]") }

// MarshalText refuses with ErrScore.
func (Score) MarshalText() ([]byte, error) { return nil, ErrScore }

// LogValue tells which parts were measured and nothing of what they hold.
func (e Evidence) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("images", len(e.Images)),
		slog.Bool("face_match", e.FaceMatch != nil),
		slog.Bool("liveness", e.Liveness != nil),
	)
}

// Format tells what LogValue does, whatever the verb. The parts need methods of
// their own: for a verb that does not fit, fmt follows pointers without asking
// what they point to.
func (e Evidence) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "evidence %v", e.LogValue()) }

// Format hides what was measured from every verb.
func (FaceMatchEvidence) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[face match evidence]")) }

// Format hides what was measured from every verb.
func (LivenessEvidence) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[liveness evidence]")) }

// within reports whether s is a number in [low, high]; NaN is not.
func (s Score) within(low, high float64) bool {
	v := float64(s)
	return !math.IsNaN(v) && v >= low && v <= high
}
