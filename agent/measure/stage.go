package measure

import (
	"context"
	"time"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// stage is one step of an examination, on its own.
type stage struct {
	name string
	run  func(m *inference.Meter) error
}

// stages are the steps over the selfie, with models loaded and its face found.
func (b *bench) stages() ([]stage, error) {
	frame, err := capture.Decode(b.pictures.selfie, capture.Limits{})
	if err != nil {
		return nil, err
	}
	detector, _, err := b.engine.Detector()
	if err != nil {
		return nil, err
	}
	encoder, _, err := b.engine.Encoder()
	if err != nil {
		return nil, err
	}
	pad, _, err := b.engine.PAD()
	if err != nil {
		return nil, err
	}
	head, _, err := b.engine.HeadPose()
	if err != nil {
		return nil, err
	}
	outline, _, err := b.engine.Landmarks()
	if err != nil {
		return nil, err
	}
	face, err := mainFace(detector, frame)
	if err != nil {
		return nil, err
	}
	points, err := detector.Refine(examine.NewPicture(frame), face, nil)
	if err != nil {
		return nil, err
	}
	img := examine.NewPicture(frame).Image()
	region := capture.Region{X: face.Box.X, Y: face.Box.Y, W: face.Box.Width, H: face.Box.Height}
	return []stage{
		{"decode", func(*inference.Meter) error {
			_, err := capture.Decode(b.pictures.selfie, capture.Limits{})
			return err
		}},
		{"detect", func(m *inference.Meter) error {
			_, err := detector.Find(examine.NewPicture(frame), inference.ProbeSearches(), m)
			return err
		}},
		{"refine", func(m *inference.Meter) error {
			_, err := detector.Refine(examine.NewPicture(frame), face, m)
			return err
		}},
		{"quality", func(*inference.Meter) error {
			_, err := capture.MeasureQuality(frame, region)
			return err
		}},
		{"encode", func(m *inference.Meter) error {
			_, err := encoder.Embed(examine.NewPicture(frame), points, m)
			return err
		}},
		{"pad", func(m *inference.Meter) error {
			_, err := pad.Examine(img, face.Box, m)
			return err
		}},
		{"pose", func(m *inference.Meter) error {
			_, err := head.Estimate(img, face.Box, m)
			return err
		}},
		{"landmarks", func(m *inference.Meter) error {
			_, err := outline.Outline(img, face.Box, m)
			return err
		}},
	}, nil
}

// time measures one stage alone.
func (b *bench) time(ctx context.Context, s stage) (StageTimes, error) {
	samples, err := b.repeat(ctx, func() (out sample, err error) {
		var meter inference.Meter
		start := time.Now()
		err = s.run(&meter)
		out.whole, out.run = time.Since(start), meter.Run
		return out, err
	})
	return StageTimes{
		N: len(samples), P50MS: wholeMS(samples, 0.5), P95MS: wholeMS(samples, 0.95),
		RunMS: runMS(samples), OverheadRatio: overhead(samples),
	}, err
}

// mainFace finds the face that a frame is about.
func mainFace(detector *inference.Detector, frame *capture.Frame) (inference.Face, error) {
	faces, err := detector.Find(examine.NewPicture(frame), inference.ProbeSearches(), nil)
	if err != nil {
		return inference.Face{}, err
	}
	face, ok := inference.MainFace(faces, frame.Width, frame.Height)
	if !ok {
		return face, ErrNoFace
	}
	return face, nil
}
