package agent

import (
	"context"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
)

// clockConfirmed is the reason code of an operator's word for the clock.
const clockConfirmed = "clock_confirmed"

// confirmClock takes an operator's word that the device's clock is right, where
// no receipt has told for too long. The centre learns of it.
func (d *Device) confirmClock(ctx context.Context) error {
	if err := d.clock.Reset(time.Now()); err != nil {
		return err
	}
	b, err := d.stamp()
	if err != nil {
		return err
	}
	b.Decision, b.Reasons = "no_decision", []string{clockConfirmed}
	if err := d.tellCentre(context.WithoutCancel(ctx), record.Audit, b); err != nil {
		return err
	}
	d.log.Info("clock confirmed")
	return nil
}
