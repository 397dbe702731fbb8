package agent

import (
	"context"
	"errors"
	"fmt"
)

// ErrOutOfService means that outcomes cannot be kept, so none is made.
var ErrOutOfService = errors.New("out of service: outcomes cannot be kept")

// cannotKeep notes that an outcome could not be kept and says so.
func (d *Device) cannotKeep(err error) error {
	reason := err.Error()
	if d.trouble.Swap(&reason) == nil {
		d.log.Warn("out of service", "reason", reason)
	}
	return fmt.Errorf("%w: %w", ErrOutOfService, err)
}

// canKeep notes that an outcome was kept.
func (d *Device) canKeep() {
	if d.trouble.Swap(nil) != nil {
		d.log.Info("in service again")
	}
}

// tryAgain brings a device out of service back once what it waits for can be
// kept and there is room for more.
func (d *Device) tryAgain(ctx context.Context) {
	err := d.deliver(ctx)
	if err == nil && d.trouble.Load() != nil {
		err = d.vault.Probe(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		_ = d.cannotKeep(err) // said once, by the log
	default:
		d.canKeep()
	}
}
