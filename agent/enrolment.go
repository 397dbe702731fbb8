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
		return out, fmt.Errorf("%w: an account has 1 to 128 bytes", ErrRequest)
	}
	if err := onePerson(r.Selfie, r.Camera); err != nil {
		return out, err
	}
	if err := d.deliver(ctx); err != nil {
		return out, d.cannotKeep(err)
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
	found, err := d.work.Examiner.Examine(ctx, examine.Request{Checks: asked.Checks, Probe: probe.Probe, Frames: probe.Frames, Describe: true})
	if err != nil {
		return out, err
	}
	// An enrolment compares with nothing; all else the policy demands holds.
	policy := d.work.Judge.Policy
	policy.Least = asked.Checks
	judge := d.work.Judge
	judge.Policy = policy
	decided := verify.Decide(policy, asked, judge.Checks(asked, found.Evidence))
	out.Checks, out.Models = decided.Checks, found.Models
	if decided.Status != verify.Approved || found.Probe == nil {
		return out, d.attacked(ctx, decided, found.Models, camera)
	}
	if err := d.keepReference(ctx, r.Account, found.Probe, decided, camera); err != nil {
		return out, err
	}
	out.Enrolled = true
	d.log.Info("enrolled", slog.Int("models", len(found.Models)))
	return out, nil
}

// attacked records that an enrolment was refused as an attack, if it was.
func (d *Device) attacked(ctx context.Context, decided verify.Decision, used []verify.Model, camera *capture.Identity) error {
	for _, c := range decided.Checks {
		if c.Name != verify.Liveness || c.Result != verify.False {
			continue
		}
		b, err := d.stamp()
		if err != nil {
			return err
		}
		b.Decision, b.Policy, b.Camera = "no_decision", record.SHA256(decided.Policy), cameraID(camera)
		b.Checks = []record.CheckResult{checkResult(c)}
		for _, m := range used {
			b.Models = append(b.Models, record.SHA256(m.SHA256))
		}
		if err := d.tellCentre(ctx, record.Attack, b); err != nil {
			return err
		}
	}
	return nil
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
		return d.cannotKeep(err)
	}
	if err := d.deliver(ctx); err != nil {
		return d.cannotKeep(err)
	}
	d.canKeep()
	return nil
}
