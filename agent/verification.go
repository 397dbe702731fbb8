package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference/onnx"
	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/sync/record"
)

// Verify examines, decides, and returns the outcome once its record is in the
// outbox. A negative outcome is no error; an error means that there is none
// that may be shown.
func (d *Device) Verify(ctx context.Context, r VerifyRequest) (verify.Verification, error) {
	var none verify.Verification
	if err := d.deliver(ctx); err != nil {
		return none, d.cannotKeep(err)
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
	switch {
	case err == nil:
		decision = d.examineAndDecide(ctx, &v, gathered)
	case errors.Is(err, ErrRequest):
		return none, err
	default:
		d.log.Error("nothing to examine", "id", v.ID, "error", err)
		decision = verify.Failed(sourceFailure(err))
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

// examineAndDecide measures and decides; what prevents measuring is a decision
// as well: the machinery failed, nobody was refused.
func (d *Device) examineAndDecide(ctx context.Context, v *verify.Verification, r examine.Request) verify.Decision {
	judge := d.work.Judge
	r.Checks = verify.Requested(judge.Policy, v.Request, judge.Runnable())
	found, err := d.work.Examiner.Examine(ctx, r)
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
	return verify.Decide(judge.Policy, v.Request, judge.Checks(v.Request, found.Evidence))
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
		return d.cannotKeep(err)
	}
	err = d.deliver(ctx)
	if err == nil {
		d.canKeep()
		return nil
	}
	err = d.cannotKeep(err)
	if _, hidden := d.vault.Verification(ctx, v.ID); hidden != nil {
		// It waits in the vault and will be recorded: whoever asks again gets
		// another verification, and may say so by the id.
		return fmt.Errorf("%w (verification %s waits to be recorded)", err, v.ID)
	}
	return nil // the trouble is somebody else's outcome: this one is recorded
}
