package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/text/language"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/inference/onnx"
	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/sync/record"
)

// ErrRequest marks a request that cannot be carried out as it stands. Nothing
// was examined and nothing recorded.
var ErrRequest = errors.New("request")

// ErrOutOfService means that outcomes cannot be kept, so none is made.
var ErrOutOfService = errors.New("out of service: outcomes cannot be kept")

// VerifyRequest is one verification with everything it needs. Images are JPEG
// or PNG files.
type VerifyRequest struct {
	// Checks that the caller asks for. Nil asks for every check that the device
	// can run on what is given.
	Checks       []string `json:"checks"`
	Country      string   `json:"country,omitempty"`
	DocumentType string   `json:"document_type,omitempty"`

	// The person: a picture, or the source of frames to look at now.
	Selfie []byte `json:"selfie,omitempty"`
	Camera string `json:"camera,omitempty"`

	DocumentFront []byte `json:"document_front,omitempty"`
	DocumentBack  []byte `json:"document_back,omitempty"`
	// Account is compared with instead of a document's portrait.
	Account string `json:"account,omitempty"`
}

// Verify examines, decides, and returns the outcome once its record is in the
// outbox. A negative outcome is no error; an error means that there is none.
func (d *Device) Verify(ctx context.Context, r VerifyRequest) (verify.Verification, error) {
	var none verify.Verification
	select {
	case d.examining <- struct{}{}:
		defer func() { <-d.examining }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if err := d.deliver(ctx); err != nil {
		return none, fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	start := time.Now()
	asked, err := r.request()
	if err != nil {
		return none, err
	}
	v := verify.New(newID(), start, asked)
	if err := v.Apply(verify.Event{Action: verify.Submit, At: start, By: verify.Actor{Role: verify.Integrator}}); err != nil {
		return none, err
	}
	gathered, camera, err := d.gather(ctx, r)
	var decision verify.Decision
	switch reason := sourceFailure(err); {
	case reason != "":
		decision = verify.Failed(reason)
	case err != nil:
		return none, err
	default:
		decision = d.examineAndDecide(ctx, &v, gathered)
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := v.Conclude(decision, time.Now()); err != nil {
		return none, err
	}
	if v.Timings == nil {
		v.Timings = map[string]time.Duration{}
	}
	v.Timings["total"] = time.Since(start)
	if err := d.keep(ctx, v, camera); err != nil {
		return none, err
	}
	d.log.Info("verification", "id", v.ID, "status", string(v.Status), "reasons", v.Reasons, "ms", v.Timings["total"].Milliseconds())
	return v, nil
}

// newID is a UUIDv7 (RFC 9562), which sorts by time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// request is the domain's view of what was asked and given.
func (r VerifyRequest) request() (verify.Request, error) {
	country, err := countryCode(r.Country)
	if err != nil {
		return verify.Request{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	out := verify.Request{Country: country, DocumentClass: r.DocumentType}
	if r.Checks != nil {
		out.Checks = []verify.CheckName{}
	}
	for _, name := range r.Checks {
		out.Checks = append(out.Checks, verify.CheckName(name))
	}
	if err := out.Validate(); err != nil {
		return out, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if (len(r.Selfie) > 0) == (r.Camera != "") {
		return out, fmt.Errorf("%w: needs either a picture of the person or a camera", ErrRequest)
	}
	if len(r.DocumentBack) > 0 && len(r.DocumentFront) == 0 {
		return out, fmt.Errorf("%w: the back of a document needs its front", ErrRequest)
	}
	if r.Account != "" && len(r.DocumentFront) > 0 {
		return out, fmt.Errorf("%w: compare with an account or with a document, not both", ErrRequest)
	}
	for _, given := range []struct {
		input verify.Input
		there bool
	}{
		{verify.Selfie, len(r.Selfie) > 0}, {verify.SelfieFrames, r.Camera != ""},
		{verify.DocumentFront, len(r.DocumentFront) > 0}, {verify.DocumentBack, len(r.DocumentBack) > 0},
		{verify.AccountReferenceInput, r.Account != ""},
	} {
		if given.there {
			out.Inputs = append(out.Inputs, given.input)
		}
	}
	return out, nil
}

// countryCode is the alpha-3 code of a country given by two or three letters of
// ISO 3166-1, or empty.
func countryCode(given string) (string, error) {
	if given == "" {
		return "", nil
	}
	region, err := language.ParseRegion(given)
	if err != nil || !region.IsCountry() || len(given) > 3 {
		return "", fmt.Errorf("country %q is no code of ISO 3166-1", given)
	}
	return region.ISO3(), nil
}

// gather decodes the images, takes frames from the camera and fetches the
// reference. It also says which camera was used.
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
		reference, err := d.vault.Reference(ctx, r.Account)
		if err != nil {
			return out, nil, fmt.Errorf("%w: account: %w", ErrRequest, err)
		}
		out.Reference = &examine.Reference{Model: reference.Model}
		if copy(out.Reference.Embedding[:], reference.Embedding) != inference.EmbeddingSize {
			return out, nil, fmt.Errorf("%w: account: the reference is not a description of a face", ErrRequest)
		}
	}
	if r.Camera != "" {
		frames, err := d.look(ctx, r.Camera)
		if err != nil {
			return out, nil, err
		}
		out.Probe = frames
		return out, &frames[0].Source, nil
	}
	out.Probe = []*capture.Frame{selfie}
	return out, nil, nil
}

// look takes frames from a source.
func (d *Device) look(ctx context.Context, source string) ([]*capture.Frame, error) {
	c := d.config.Camera
	s, err := capture.Open(ctx, source, capture.Options{Width: c.Width, Height: c.Height})
	if errors.Is(err, capture.ErrSource) || errors.Is(err, capture.ErrNoPictures) || errors.Is(err, capture.ErrImage) {
		return nil, fmt.Errorf("%w: camera: %w", ErrRequest, err)
	}
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var frames []*capture.Frame
	for len(frames) < c.Frames {
		var frame capture.Frame
		err := s.Next(ctx, &frame)
		if errors.Is(err, io.EOF) && len(frames) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		frames = append(frames, &frame)
	}
	return frames, nil
}

// sourceFailure is the reason code of an error of a camera, or empty.
func sourceFailure(err error) verify.Reason {
	switch {
	case errors.Is(err, capture.ErrCameraFrozen), errors.Is(err, capture.ErrReplayed):
		return verify.CameraFrozen
	case errors.Is(err, capture.ErrCameraLost):
		return verify.CameraLost
	}
	return ""
}

// examineAndDecide measures and decides; what prevents measuring is a decision
// as well: the machinery failed, nobody was refused.
func (d *Device) examineAndDecide(ctx context.Context, v *verify.Verification, r examine.Request) verify.Decision {
	r.Checks = verify.Requested(d.Judge.Policy, v.Request, d.Judge.Runnable())
	found, err := d.Examiner.Examine(ctx, r)
	if err != nil {
		d.log.Error("examination failed", "id", v.ID, "error", err)
		var model *models.Error
		switch {
		case errors.Is(err, onnx.ErrOutput):
			return verify.Failed(verify.ModelOutputInvalid)
		case errors.As(err, &model):
			return verify.Failed(verify.ModelUnavailable)
		}
		return verify.Failed(verify.MachineryFailed)
	}
	v.Models, v.Timings = found.Models, found.Timings
	return verify.Decide(d.Judge.Policy, v.Request, d.Judge.Checks(v.Request, found.Evidence))
}

// keep makes the outcome durable: vault, then outbox. Only then may it be shown.
func (d *Device) keep(ctx context.Context, v verify.Verification, camera *capture.Identity) error {
	body, err := d.body(v, camera)
	if err != nil {
		return err
	}
	payload, err := letter{record.Verification, body}.encode()
	if err != nil {
		return err
	}
	// From here on the caller's patience does not count: half a step would
	// leave an outcome that nobody saw.
	ctx = context.WithoutCancel(ctx)
	if err := d.vault.Commit(ctx, newID(), v, payload); err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	if err := d.deliver(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	return nil
}
