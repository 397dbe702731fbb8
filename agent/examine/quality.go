package examine

import (
	"math"
	"slices"
	"time"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// Turned further than this, in degrees, a face compares badly and the person
// can do better. Faces in the wild that were photographed for a purpose stay within it.
const (
	maxYaw   = 40
	maxPitch = 40
)

// assess measures the picture of a person: of the face where there is one,
// of the whole picture otherwise.
func (e *examination) assess(s *sight) error {
	defer e.took("quality", verify.Quality, time.Now())
	region, limits := capture.Region{}, capture.DefaultPictureLimits()
	if s.faces > 0 {
		region, limits = capture.Region{X: s.face.Box.X, Y: s.face.Box.Y, W: s.face.Box.Width, H: s.face.Box.Height}, capture.DefaultFaceLimits()
	}
	q, err := capture.MeasureQuality(s.frame, region)
	if err != nil {
		return err
	}
	s.sharp, s.quality.Findings = q.Sharpness, findings(q.Advice(limits))
	return nil
}

// judged is the quality of the picture that describes the person.
func (e *examination) judged(s sight, m *inference.Meter) ([]verify.ImageQuality, error) {
	if len(e.request.Probe) == 1 {
		if err := e.assess(&s); err != nil {
			return nil, err
		}
	}
	findings, err := e.turned(s, m)
	s.quality.Findings = findings
	return []verify.ImageQuality{s.quality}, err
}

// assessDocument measures a whole picture of a document.
func (e *examination) assessDocument(input verify.Input, frame *capture.Frame) (verify.ImageQuality, error) {
	defer e.took("quality", verify.Quality, time.Now())
	out := verify.ImageQuality{Input: input, Width: frame.Width, Height: frame.Height}
	q, err := capture.MeasureQuality(frame, capture.Region{})
	if err == nil {
		out.Findings = findings(q.Advice(capture.DefaultPictureLimits()))
	}
	return out, err
}

// glare tells whether light is mirrored in a portrait.
func (e *examination) glare(frame *capture.Frame, box inference.Box) ([]verify.Reason, error) {
	defer e.took("quality", verify.Quality, time.Now())
	q, err := capture.MeasureQuality(frame, capture.Region{X: box.X, Y: box.Y, W: box.Width, H: box.Height})
	if err != nil || q.Glare <= capture.DefaultFaceLimits().MaxGlare {
		return nil, err
	}
	return []verify.Reason{verify.Glare}, nil
}

// turned adds to a sight's findings that the face looks away.
func (e *examination) turned(s sight, m *inference.Meter) ([]verify.Reason, error) {
	if s.faces == 0 {
		return s.quality.Findings, nil
	}
	head, entry, err := load(e, e.examiner.engine.HeadPose)
	if err != nil {
		return nil, err
	}
	defer e.took("pose", verify.Quality, time.Now())
	e.used(entry)
	pose, err := head.Estimate(image(s.frame), s.face.Box, m)
	if err != nil {
		return nil, err
	}
	// Written so that NaN counts as turned away.
	if math.Abs(pose.Yaw) <= maxYaw && math.Abs(pose.Pitch) <= maxPitch {
		return s.quality.Findings, nil
	}
	return append(slices.Clone(s.quality.Findings), verify.FaceTurned), nil
}

// findings turns advice into the reasons of the domain.
func findings(advice []capture.Advice) []verify.Reason {
	var out []verify.Reason
	for _, a := range advice {
		out = append(out, reasonOf(a.Code))
	}
	return out
}

func reasonOf(code capture.AdviceCode) verify.Reason {
	switch code {
	case capture.AdviceFaceCutOff:
		return verify.FaceCutOff
	case capture.AdviceFaceTooSmall:
		return verify.FaceTooSmall
	case capture.AdviceFaceTooLarge:
		return verify.FaceTooLarge
	case capture.AdviceFaceOffCentre:
		return verify.FaceOffCentre
	case capture.AdviceTooDark:
		return verify.ImageTooDark
	case capture.AdviceTooBright:
		return verify.ImageTooBright
	case capture.AdviceGlare:
		return verify.Glare
	case capture.AdviceUnevenLight:
		return verify.UnevenLight
	case capture.AdviceLowContrast:
		return verify.LowContrast
	case capture.AdviceBlurred:
		return verify.ImageBlurred
	}
	return verify.Reason(code)
}
