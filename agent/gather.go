package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// gather decodes the images, takes frames from the camera and fetches the
// reference. It also says which camera was used. An error wraps ErrRequest or
// is the machinery's.
func (d *Device) gather(ctx context.Context, r VerifyRequest) (examine.Request, *capture.Identity, error) {
	var out examine.Request
	var selfie *capture.Frame
	var decoding errgroup.Group
	for _, image := range []struct {
		name string
		data []byte
		to   **capture.Frame
	}{{"selfie", r.Selfie, &selfie}, {"document_front", r.DocumentFront, &out.DocumentFront}, {"document_back", r.DocumentBack, &out.DocumentBack}} {
		if len(image.data) == 0 {
			continue
		}
		decoding.Go(func() (err error) {
			if *image.to, err = capture.Decode(image.data, capture.Limits{}); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrRequest, image.name, err)
			}
			return nil
		})
	}
	if err := decoding.Wait(); err != nil {
		return out, nil, err
	}
	if r.Account != "" {
		var err error
		if out.Reference, err = d.reference(ctx, r.Account); err != nil {
			return out, nil, err
		}
	}
	if r.Camera == "" {
		out.Probe = []*capture.Frame{selfie}
		return out, nil, nil
	}
	frames, err := d.look(ctx, r.Camera)
	if err != nil {
		return out, nil, err
	}
	out.Probe, out.Frames = frames, true
	return out, &frames[0].Source, nil
}

// reference is the enrolled face of an account.
func (d *Device) reference(ctx context.Context, account string) (*examine.Reference, error) {
	kept, err := d.vault.Reference(ctx, account)
	if errors.Is(err, vault.ErrNotFound) {
		return nil, fmt.Errorf("%w: account: no such account is enrolled", ErrRequest)
	}
	if err != nil {
		return nil, err
	}
	out := &examine.Reference{Model: kept.Model}
	if n := copy(out.Embedding[:], kept.Embedding); n != inference.EmbeddingSize || len(kept.Embedding) != n {
		out.Model = "" // of another encoder: it compares with nothing
	}
	return out, nil
}

const (
	// ConfiguredCamera is the source that the configuration names.
	ConfiguredCamera = "configured"
	// pipelinePrefix begins a source that runs whatever it says.
	pipelinePrefix = "gst:"
)

// look takes frames from a source, different ones where it is live.
func (d *Device) look(ctx context.Context, source string) ([]*capture.Frame, error) {
	c := d.config.Camera
	if source == ConfiguredCamera {
		source = c.Source
	}
	if strings.HasPrefix(source, pipelinePrefix) && source != c.Source {
		return nil, fmt.Errorf("%w: camera: a pipeline must be the one that camera.source names", ErrRequest)
	}
	frames, err := d.frames(ctx, source)
	switch {
	case err == nil:
		d.camera.Store(nil)
		return frames, nil
	case errors.Is(err, capture.ErrSource), errors.Is(err, capture.ErrNoPictures), errors.Is(err, capture.ErrImage):
		return nil, fmt.Errorf("%w: camera: %w", ErrRequest, err)
	}
	if ctx.Err() == nil {
		reason := string(sourceFailure(err))
		d.camera.Store(&reason)
	}
	return nil, err
}

func (d *Device) frames(ctx context.Context, source string) (_ []*capture.Frame, err error) {
	c := d.config.Camera
	s, err := capture.Open(ctx, source, capture.Options{Width: c.Width, Height: c.Height, Allowed: c.allowed()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return capture.Gather(ctx, s, c.Frames)
}

// sourceFailure is the reason code of what prevented gathering.
func sourceFailure(err error) verify.Reason {
	switch {
	case errors.Is(err, capture.ErrCameraFrozen), errors.Is(err, capture.ErrReplayed), errors.Is(err, capture.ErrFrameOrder):
		return verify.CameraFrozen
	case errors.Is(err, capture.ErrCameraLost):
		return verify.CameraLost
	}
	return verify.MachineryFailed
}
