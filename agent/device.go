// Package agent is the device: it opens every part, wires them and closes them
// in reverse. A Device verifies and enrols; Run serves it as a daemon; Connect
// reaches the daemon, or serves the device for as long as one command lasts, so
// that commands have one way to everything.
//
// It holds what no part may know of another: that a decision becomes a record,
// that a record must be in the outbox before its outcome is shown.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/firmware/identity"
	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/uplink"
)

// Device is an opened data folder with the models to verify people. It is safe
// for concurrent use.
type Device struct {
	config Config
	build  Build
	log    *slog.Logger

	keys   *identity.Keys
	clock  *identity.Clock
	vault  *vault.Vault
	outbox *outbox.Box
	work   *Workbench

	// using is read-locked by whoever works on the device; Close waits for them.
	using sync.RWMutex
	// slots bound how many requests with pictures are in memory at once.
	slots chan struct{}
	// delivering serialises the way from vault to outbox.
	delivering sync.Mutex
	// camera says why it gave no frames when it was last used; nil if it did.
	camera atomic.Pointer[string]
	// trouble says why outcomes cannot be kept; nil in service.
	trouble atomic.Pointer[string]
	// link is the uplink of a daemon.
	link atomic.Pointer[uplink.Uplink]
}

// Build says which program this is.
type Build struct {
	Version string
	// Time of the build: no clock can rightly be earlier.
	Time time.Time
}

// Open opens the data folder and the models. A second process on the same
// folder is refused.
func Open(ctx context.Context, c Config, build Build, log *slog.Logger) (_ *Device, err error) {
	d := &Device{config: c, build: build, log: log, slots: make(chan struct{}, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	// The group may pass, to reach the socket and nothing else.
	if err := os.MkdirAll(c.Data, 0o710); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if d.keys, err = identity.Open(filepath.Join(c.Data, "keys")); err != nil {
		return nil, err
	}
	if d.clock, err = identity.OpenClock(c.Data, build.Time); err != nil {
		return nil, err
	}
	boxSealer, err := d.keys.Sealer("outbox")
	if err != nil {
		return nil, err
	}
	d.outbox, err = outbox.Open(ctx, filepath.Join(c.Data, "outbox"), outbox.Options{
		Tenant: c.Tenant, Device: d.keys.Device(), Signer: d.keys.Signer(), Sealer: boxSealer,
		Quota: c.Outbox.Quota, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	vaultFolder := filepath.Join(c.Data, "vault")
	if err := os.MkdirAll(vaultFolder, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	vaultSealer, err := d.keys.Sealer("vault")
	if err != nil {
		return nil, err
	}
	if d.vault, err = vault.Open(vaultFolder, vaultSealer, vault.Options{Log: log}); err != nil {
		return nil, err
	}
	if d.work, err = OpenWorkbench(c); err != nil {
		return nil, err
	}
	// What a power cut left between the vault and the outbox goes on its way.
	// What cannot go yet is no reason to keep the device from those who repair it.
	if err := d.deliver(ctx); err != nil {
		_ = d.cannotKeep(err)
	}
	return d, ctx.Err()
}

// Close waits for requests in progress and closes every part in reverse.
func (d *Device) Close() error {
	d.using.Lock() // for good: a runner that is freed while it runs takes the process down
	var errs []error
	if d.work != nil {
		errs = append(errs, d.work.Close())
	}
	if d.vault != nil {
		errs = append(errs, d.vault.Close())
	}
	if d.outbox != nil {
		errs = append(errs, d.outbox.Close())
	}
	return errors.Join(errs...)
}
