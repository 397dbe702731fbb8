package verify

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Judge turns measurements into check results. It holds the models that the
// device trusts with the operating points that were measured for them; a score
// of any other model is no evidence. The zero Judge can run quality only.
type Judge struct {
	Policy Policy
	Faces  []FaceModel
	PAD    []PADModel
}

// A FaceModel is a face encoder with its operating points.
type FaceModel struct {
	SHA256 string // lower-case hex
	Points []OperatingPoint
}

// A PADModel is a passive presentation attack detector with two points over the
// bona fide probability: above Accept is bona fide, at or below Refuse is an
// attack, between them a person looks. One point serves as both where there is
// no grey band.
type PADModel struct {
	SHA256         string // lower-case hex
	Accept, Refuse OperatingPoint
}

// Document images must have at least this many pixels on the long and on the
// short side.
const (
	DocumentLongSide  = 1280
	DocumentShortSide = 720
)

// Runnable returns the checks that this device can run.
func (j Judge) Runnable() []CheckName {
	names := []CheckName{Quality}
	if len(j.Faces) > 0 {
		names = append(names, FaceMatch)
	}
	if len(j.PAD) > 0 {
		names = append(names, Liveness)
	}
	return names
}

// Checks judges every requested check, in the order of CheckNames. A check that
// the device cannot run, or that has no evidence, is NotRun with its reason.
func (j Judge) Checks(request Request, evidence Evidence) []Check {
	var checks []Check
	runnable := j.Runnable()
	for _, name := range Requested(j.Policy, request, runnable) {
		check := Check{Name: name}
		switch {
		case !slices.Contains(runnable, name):
			check.because(NotRun, NotAvailable)
		case name == Quality:
			check.judgeQuality(request.Inputs, evidence.Images)
		case name == FaceMatch:
			j.judgeFaceMatch(&check, evidence.FaceMatch)
		case name == Liveness:
			j.judgeLiveness(&check, evidence.Liveness)
		}
		check.Duration = evidence.Durations[name]
		checks = append(checks, check)
	}
	return checks
}

// because sets the result with its reasons and their sentences.
func (c *Check) because(result Result, reasons ...Reason) {
	c.Result, c.Reasons = result, reasons
	c.Reasoning = sentences(reasons)
}

func sentences(reasons []Reason) string {
	words := make([]string, len(reasons))
	for i, r := range reasons {
		words[i] = r.Sentence()
	}
	return strings.Join(words, " ")
}

func (c *Check) judgeQuality(given []Input, images []ImageQuality) {
	for _, input := range given {
		measured := slices.ContainsFunc(images, func(q ImageQuality) bool { return q.Input == input })
		if input.isImage() && !measured {
			c.because(NotRun, EvidenceMissing)
			return
		}
	}
	if len(images) == 0 {
		c.because(NotRun, EvidenceMissing)
		return
	}
	var faults []Reason
	for _, image := range images {
		for _, fault := range image.faults() {
			if !slices.Contains(faults, fault) {
				faults = append(faults, fault)
			}
		}
	}
	if len(faults) > 0 {
		c.because(False, faults...)
		return
	}
	c.because(True, QualitySufficient)
}

// faults are the findings of the capture and what the sizes and the number of
// faces say. An image without pixels is unreadable whatever it is of.
func (q ImageQuality) faults() []Reason {
	faults := slices.Clone(q.Findings)
	if q.Width <= 0 || q.Height <= 0 {
		return append(faults, ImageUnreadable)
	}
	switch q.Input {
	case DocumentFront, DocumentBack:
		if max(q.Width, q.Height) < DocumentLongSide || min(q.Width, q.Height) < DocumentShortSide {
			faults = append(faults, ImageTooSmall)
		}
	case Selfie, SelfieFrames:
		if q.Faces < 1 {
			faults = append(faults, NoFaceInProbe)
		}
		if q.Faces > 1 {
			faults = append(faults, SeveralFaces)
		}
	default: // nobody knows what such an image must be like
		faults = append(faults, ImageUnreadable)
	}
	return faults
}

func (j Judge) judgeFaceMatch(c *Check, e *FaceMatchEvidence) {
	if e == nil {
		c.because(NotRun, EvidenceMissing)
		return
	}
	c.Model = e.Model
	switch {
	case e.ProbeFaces < 1:
		c.because(Unknown, NoFaceInProbe)
		return
	case e.ProbeFaces > 1:
		c.because(Unknown, SeveralFaces)
		return
	case e.ReferenceFaces < 1:
		c.because(Unknown, NoFaceInReference)
		return
	case e.ReferenceFaces > 1:
		c.because(Unknown, SeveralFacesInReference)
		return
	}
	model := slices.IndexFunc(j.Faces, func(m FaceModel) bool { return m.SHA256 == e.Model })
	if e.Model == "" || model < 0 {
		c.because(Unknown, ModelUnknown)
		return
	}
	// A sum of float32 products may leave [-1, 1] by a rounding error.
	if !e.Score.within(-1-1e-3, 1+1e-3) {
		c.because(Unknown, ModelOutputInvalid)
		return
	}
	points := j.Faces[model].Points
	if slices.ContainsFunc(points, OperatingPoint.unusable) {
		c.because(Unknown, OperatingPointNotMeasured)
		return
	}
	wanted := step(j.Policy.FMR, j.Policy.FMRInEveryCohort)
	at := slices.IndexFunc(points, func(p OperatingPoint) bool {
		return wanted != 0 && step(p.Rate, p.EveryCohort) == wanted
	})
	if at < 0 {
		c.because(Unknown, OperatingPointNotMeasured)
		return
	}
	c.OperatingPoint, c.Rate = points[at].ID, points[at].Rate
	c.Band = faceBand(e.Score, points)
	if c.Band >= wanted {
		c.because(True, FaceMatches)
	} else {
		c.because(False, FaceDiffers)
	}
	c.Reasoning = faceSentence(c.Result == True, e.Reference, points[at])
	if c.Result == True && e.Reference == DocumentPortrait && e.Score >= SamePicture {
		// A band of the ladder would tell that the score passed; a person must look.
		c.because(Flagged, ProbeIsReference)
	}
}

// SamePicture is a comparison score that two pictures of one person do not reach
// (0.979 at most among 102 pairs of one studio session), but one picture does
// with a copy of itself: whoever shows a photo twice has shown no document.
const SamePicture Score = 0.985

// unusable reports a point that would decide nothing or everything: thresholds
// of cosines and of probabilities lie between 0 and 1, and NaN nowhere.
func (p OperatingPoint) unusable() bool {
	return p.ID == "" || !(p.Threshold > 0 && p.Threshold < 1)
}

// faceSentence is "The face matches the document portrait at a false match rate
// of 1 in 1,000."
func faceSentence(match bool, kind ReferenceKind, point OperatingPoint) string {
	verb := "does not match"
	if match {
		verb = "matches"
	}
	reference := "reference"
	switch kind {
	case DocumentPortrait:
		reference = "document portrait"
	case ChipPortrait:
		reference = "portrait on the chip"
	case AccountReference:
		reference = "reference of the account"
	}
	cohort := ""
	if point.EveryCohort {
		cohort = " in every cohort"
	}
	return fmt.Sprintf("The face %s the %s at a false match rate of %s%s.", verb, reference, oneIn(point.Rate), cohort)
}

// oneIn writes 0.001 as "1 in 1,000".
func oneIn(rate float64) string {
	digits := strconv.FormatInt(int64(math.Round(1/rate)), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return "1 in " + digits
}

func (j Judge) judgeLiveness(c *Check, e *LivenessEvidence) {
	if e == nil {
		c.because(NotRun, EvidenceMissing)
		return
	}
	c.Model, c.Attestation, c.Strength = e.Model, e.Attestation, e.strength()
	switch {
	case e.Faces < 1:
		c.because(Unknown, NoFaceInProbe)
		return
	case e.Faces > 1:
		c.because(Unknown, SeveralFaces)
		return
	case c.Strength == NoLiveness:
		c.because(NotRun, EvidenceMissing)
		return
	}
	at := slices.IndexFunc(j.PAD, func(m PADModel) bool { return m.SHA256 == e.Model })
	if e.Model == "" || at < 0 {
		c.because(Unknown, ModelUnknown)
		return
	}
	model := j.PAD[at]
	if model.Accept.unusable() || model.Refuse.unusable() {
		c.because(Unknown, OperatingPointNotMeasured)
		return
	}
	if !e.BonaFide.within(0, 1) || !e.Print.within(0, 1) || !e.Screen.within(0, 1) {
		c.because(Unknown, ModelOutputInvalid)
		return
	}
	c.OperatingPoint, c.Rate = model.Accept.ID, model.Accept.Rate
	switch {
	case !model.Refuse.passes(e.BonaFide):
		c.Band = BandAttack
		c.because(False, e.species())
	case !model.Accept.passes(e.BonaFide), e.BonaFide < max(e.Print, e.Screen):
		c.Band = BandGrey
		c.because(Flagged, LivenessUncertain)
	default:
		c.Band = BandBonaFide
		c.because(True, LivenessShown)
		if signs := e.signs(); len(signs) > 0 {
			c.Band = BandGrey
			c.because(Flagged, signs...)
		}
	}
}

// strength is what the frames really carry: too few of them are a still image.
func (e LivenessEvidence) strength() Strength {
	switch {
	case e.Frames < 1 || e.Strength > Challenge:
		return NoLiveness
	case e.Frames < FramesForStrength:
		return min(e.Strength, Still)
	}
	return e.Strength
}

// species names the likelier attack.
func (e LivenessEvidence) species() Reason {
	switch {
	case e.Print > e.Screen && e.Print > e.BonaFide:
		return AttackPrint
	case e.Screen > e.Print && e.Screen > e.BonaFide:
		return AttackScreen
	}
	return AttackSuspected
}

// signs returns the reasons of the signals that speak for an attack. A signal
// stays silent only when its score is provably at or below a usable point.
func (e LivenessEvidence) signs() []Reason {
	var signs []Reason
	for _, s := range e.Signals {
		quiet := !s.Point.unusable() && float64(s.Score) <= s.Point.Threshold
		if !quiet && !slices.Contains(signs, s.Reason) {
			signs = append(signs, s.Reason)
		}
	}
	return signs
}
