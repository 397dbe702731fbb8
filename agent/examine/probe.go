package examine

import (
	"context"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// probeReading is what the pictures of the person showed.
type probeReading struct {
	faces     int // in the frame that was chosen to describe the person
	described *Reference
	model     string // encoder's digest
	quality   []verify.ImageQuality
	liveness  *verify.LivenessEvidence
	run       time.Duration
}

// sight is one frame with its main face.
type sight struct {
	frame   *capture.Frame
	picture *picture // of frame
	faces   int      // that count; 0 means none
	face    inference.Face
	quality verify.ImageQuality
	sharp   float64
}

// bystander is the share of the main face's area below which another face is
// somebody in the background.
const bystander = 0.25

// standing counts the faces that are not in the background of main.
func standing(faces []inference.Face, main inference.Face) int {
	n := 0
	for _, f := range faces {
		if f.Box.Area() >= bystander*main.Box.Area() {
			n++
		}
	}
	return n
}

func (e *examination) readProbe(ctx context.Context) (probeReading, error) {
	var out probeReading
	if len(e.request.Probe) == 0 {
		return out, nil
	}
	var meter inference.Meter
	sights := make([]sight, len(e.request.Probe))
	for i, frame := range e.request.Probe {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		s, err := e.see(frame, &meter)
		if err != nil {
			return out, err
		}
		sights[i] = s
	}
	best := bestOf(sights)
	out.faces = best[0].faces

	// The description, and all that judges the presentation, are independent.
	var describing, judging inference.Meter
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		if !e.wants(verify.FaceMatch) && !e.request.Describe {
			return nil
		}
		out.described, out.model, err = e.describeAll(best, &describing)
		return err
	})
	g.Go(func() (err error) {
		if e.wants(verify.Liveness) {
			if out.liveness, err = e.presented(ctx, sights, best, &judging); err != nil {
				return err
			}
		}
		if e.wants(verify.Quality) {
			out.quality, err = e.judged(best[0], &judging)
		}
		return err
	})
	err := g.Wait()
	out.run = meter.Run + max(describing.Run, judging.Run)
	return out, err
}

// describedFrames is how many frames describe a person. Among frames of seven
// people the least alike pair of one person scored 0.47 by one frame each, 0.88
// by three; the most alike strangers 0.42 and 0.39.
const describedFrames = 3

// bestOf are the frames that describe the person, the best first: several only
// where each shows exactly one face.
func bestOf(sights []sight) []sight {
	sorted := slices.Clone(sights)
	slices.SortStableFunc(sorted, func(a, b sight) int { return rank(b, a) })
	n := 1
	for n < min(describedFrames, len(sorted)) && sorted[n].faces == 1 {
		n++
	}
	return sorted[:n]
}

// rank prefers a frame with exactly one face, then the sharper one.
func rank(a, b sight) int {
	if one, other := a.faces == 1, b.faces == 1; one != other {
		if one {
			return 1
		}
		return -1
	}
	switch {
	case a.sharp > b.sharp:
		return 1
	case a.sharp < b.sharp:
		return -1
	}
	return 0
}

// see finds the main face of a frame and measures the picture's quality.
func (e *examination) see(frame *capture.Frame, m *inference.Meter) (sight, error) {
	s := sight{frame: frame, picture: e.picture(frame), quality: verify.ImageQuality{Input: verify.Selfie, Width: frame.Width, Height: frame.Height}}
	if e.request.Frames || len(e.request.Probe) > 1 {
		s.quality.Input = verify.SelfieFrames
	}
	faces, err := e.find(s.picture, inference.ProbeSearches(), m)
	if err != nil {
		return s, err
	}
	main, ok := inference.MainFace(faces, frame.Width, frame.Height)
	if ok {
		s.face, s.faces = main, standing(faces, main)
	}
	s.quality.Faces = s.faces
	if len(e.request.Probe) > 1 { // the best frame is chosen by it
		err = e.assess(&s)
	}
	return s, err
}

// find runs the detector over a frame.
func (e *examination) find(p *picture, searches []inference.Search, m *inference.Meter) ([]inference.Face, error) {
	detector, entry, err := load(e, e.examiner.engine.Detector)
	if err != nil {
		return nil, err
	}
	defer e.took("detect", "", time.Now())
	e.used(entry)
	return detector.Find(p, searches, m)
}

// describeAll describes the person by all of the best frames.
func (e *examination) describeAll(best []sight, m *inference.Meter) (*Reference, string, error) {
	var views []inference.Embedding
	var model string
	for _, s := range best {
		one, by, err := e.describe(s, verify.FaceMatch, m)
		if model = by; err != nil || one == nil {
			return nil, model, err
		}
		views = append(views, one.Embedding)
	}
	mean, err := inference.Mean(views)
	return &Reference{Embedding: mean, Model: model}, model, err
}

// describe encodes the main face of a sight; nil where there is none.
func (e *examination) describe(s sight, check verify.CheckName, m *inference.Meter) (*Reference, string, error) {
	encoder, entry, err := load(e, e.examiner.engine.Encoder)
	if err != nil || s.faces == 0 {
		return nil, entry.SHA256, err
	}
	points, err := e.refine(s, check, m)
	if err != nil {
		return nil, entry.SHA256, err
	}
	defer e.took("encode", check, time.Now())
	e.used(entry)
	v, err := encoder.Embed(s.picture, points, m)
	if err != nil {
		return nil, entry.SHA256, err
	}
	return &Reference{Embedding: v, Model: entry.SHA256}, entry.SHA256, nil
}

// refine measures the points of a sight's face again before it is described.
func (e *examination) refine(s sight, check verify.CheckName, m *inference.Meter) ([5]inference.Point, error) {
	detector, _, err := load(e, e.examiner.engine.Detector)
	if err != nil {
		return s.face.Points, err
	}
	defer e.took("refine", check, time.Now())
	return detector.Refine(s.picture, s.face, m)
}

// presented runs presentation attack detection over every frame with a face
// and takes the median of each probability; of bona fide no more than in the
// worst of the best frames, whose faces are those that are compared.
func (e *examination) presented(ctx context.Context, sights, best []sight, m *inference.Meter) (*verify.LivenessEvidence, error) {
	pad, entry, err := load(e, e.examiner.engine.PAD)
	if err != nil {
		return nil, err
	}
	defer e.took("pad", verify.Liveness, time.Now())
	e.used(entry)
	var bonaFide, print, screen []float64
	out := &verify.LivenessEvidence{Strength: verify.Still, Model: entry.SHA256}
	attested, ofBest := true, math.Inf(1)
	for _, s := range sights {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		attested = attested && s.frame.Source.Attested
		if s.faces == 0 {
			continue
		}
		p, err := pad.Examine(image(s.frame), s.face.Box, m)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(best, func(b sight) bool { return b.frame == s.frame }) {
			ofBest = math.Min(ofBest, p.BonaFide)
		}
		bonaFide, print, screen = append(bonaFide, p.BonaFide), append(print, p.Print), append(screen, p.Screen)
		out.Faces = max(out.Faces, s.faces)
	}
	out.Frames = len(bonaFide)
	if attested {
		out.Attestation = verify.Attested
	}
	if out.Frames >= verify.FramesForStrength && sights[0].frame.Source.Kind == capture.KindCamera {
		out.Strength = verify.Frames
	}
	out.BonaFide = verify.Score(math.Min(float64(median(bonaFide)), ofBest)) // NaN if either is
	out.Print, out.Screen = median(print), median(screen)
	return out, nil
}

// median of measurements; NaN, which passes nothing, where there are none.
func median(values []float64) verify.Score {
	if len(values) == 0 {
		return notMeasured()
	}
	slices.Sort(values)
	n := len(values)
	return verify.Score((values[(n-1)/2] + values[n/2]) / 2)
}

func notMeasured() verify.Score { return verify.Score(math.NaN()) }
