package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/sync/record"
)

// EnrolRequest keeps a person's face as the reference of an account.
type EnrolRequest struct {
	Account string `json:"account"`
	Selfie  []byte `json:"selfie,omitempty"`
	Camera  string `json:"camera,omitempty"`
}

// Enrolment is the answer to an EnrolRequest. Enrolled is false, with the
// checks that say why, where the picture will not do.
type Enrolment struct {
	Account  string         `json:"account"`
	Enrolled bool           `json:"enrolled"`
	Checks   []verify.Check `json:"checks"`
	Models   []verify.Model `json:"models"`
}

// Enrol keeps a reference if the picture is good and shows one living person.
func (d *Device) Enrol(ctx context.Context, r EnrolRequest) (Enrolment, error) {
	out := Enrolment{Account: r.Account}
	if r.Account == "" || len(r.Account) > 128 {
		return out, fmt.Errorf("%w: an account has 1 to 128 characters", ErrRequest)
	}
	if (len(r.Selfie) > 0) == (r.Camera != "") {
		return out, fmt.Errorf("%w: needs either a picture of the person or a camera", ErrRequest)
	}
	if err := d.deliver(ctx); err != nil {
		return out, fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	probe, camera, err := d.gather(ctx, VerifyRequest{Selfie: r.Selfie, Camera: r.Camera})
	if err != nil {
		return out, err
	}
	input := verify.Selfie
	if r.Camera != "" {
		input = verify.SelfieFrames
	}
	asked := verify.Request{Checks: []verify.CheckName{verify.Quality, verify.Liveness}, Inputs: []verify.Input{input}}
	found, err := d.Examiner.Examine(ctx, examine.Request{Checks: asked.Checks, Probe: probe.Probe, Describe: true})
	if err != nil {
		return out, err
	}
	// An enrolment compares with nothing; all else the policy demands holds.
	policy := d.Judge.Policy
	policy.Least = asked.Checks
	judge := d.Judge
	judge.Policy = policy
	decided := verify.Decide(policy, asked, judge.Checks(asked, found.Evidence))
	out.Checks, out.Models = decided.Checks, found.Models
	if decided.Status != verify.Approved || found.Probe == nil {
		return out, nil
	}
	if err := d.keepReference(ctx, r.Account, found.Probe, decided, camera); err != nil {
		return out, err
	}
	out.Enrolled = true
	d.log.Info("enrolled", slog.Int("models", len(found.Models)))
	return out, nil
}

// keepReference stores the reference together with the record that it was made.
func (d *Device) keepReference(ctx context.Context, account string, probe *examine.Reference, decided verify.Decision, camera *capture.Identity) error {
	b, err := d.stamp()
	if err != nil {
		return err
	}
	b.Decision, b.Policy = "no_decision", record.SHA256(decided.Policy)
	b.Models = []record.SHA256{record.SHA256(probe.Model)}
	b.Camera = cameraID(camera)
	for _, c := range decided.Checks {
		b.Checks = append(b.Checks, checkResult(c))
	}
	body, err := b.Encode()
	if err != nil {
		return err
	}
	payload, err := letter{record.Enrolment, body}.encode()
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err = d.vault.PutReference(ctx, account, vault.Reference{
		ID: newID(), Embedding: probe.Embedding[:], Model: probe.Model, Enrolled: time.Now(),
	}, newID(), payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	if err := d.deliver(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfService, err)
	}
	return nil
}
