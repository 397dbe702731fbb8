package agent

import (
	"context"
	"errors"
	"time"

	"github.com/edgeverify/edgeverify/firmware/identity"
	"github.com/edgeverify/edgeverify/sync/uplink"
)

// States of a device.
const (
	InOrder      = "ok"
	Degraded     = "degraded"       // it works, and somebody should look
	OutOfService = "out_of_service" // it verifies nobody
)

// clockUnset is the fault of a clock; the doctor has a part of its own for it.
const clockUnset = "the clock cannot be believed: ages and expiry dates stay unknown"

// silentAfter is how many failures in a row make a silent collector worth a look.
const silentAfter = 5

// Health is what the health page and `outbox stats` tell. Nothing in it is personal.
type Health struct {
	State   string      `json:"state"`
	Faults  []string    `json:"faults"` // why the state is not ok
	Version string      `json:"version"`
	Device  string      `json:"device"`
	Keys    string      `json:"key_assurance"`
	Runtime string      `json:"onnx_runtime"`
	Clock   string      `json:"clock_q"`
	Outbox  OutboxStats `json:"outbox"`
	Uplink  *LinkState  `json:"uplink,omitempty"` // only of a running daemon with an uplink
}

// LinkState is the uplink's state.
type LinkState struct {
	LastReceipt *time.Time `json:"last_receipt,omitempty"`
	NextTry     *time.Time `json:"next_try,omitempty"`
	Failures    int        `json:"failures"`
	Settled     uint64     `json:"settled"`
	Error       string     `json:"error,omitempty"`
}

// Health looks at the device. It never fails: what cannot be read is a fault.
func (d *Device) Health(ctx context.Context) Health {
	h := Health{
		State: InOrder, Faults: []string{}, Version: d.build.Version, Device: d.keys.Device(),
		Keys: d.keys.Assurance(), Runtime: d.work.Engine.RuntimeVersion(), Clock: "unset",
	}
	fault := func(state, what string) {
		h.Faults = append(h.Faults, what)
		if h.State != OutOfService {
			h.State = state
		}
	}
	if now, err := d.clock.Now(); err != nil {
		fault(Degraded, err.Error())
	} else if h.Clock = now.Quality.String(); now.Quality == identity.Unset {
		fault(Degraded, clockUnset)
	}
	stats, err := d.outboxStats(ctx)
	h.Outbox = stats
	switch {
	case err != nil:
		fault(OutOfService, err.Error())
	case stats.Fault != "":
		fault(OutOfService, stats.Fault)
	case stats.Full:
		fault(OutOfService, "outbox full: connect the device or raise outbox.quota")
	}
	if reason := d.trouble.Load(); reason != nil && h.State != OutOfService {
		fault(OutOfService, *reason)
	}
	if stats.Quarantined > 0 {
		fault(Degraded, "records in quarantine: see edgeverify outbox ls")
	}
	if stats.Alarms > 0 {
		fault(Degraded, "acknowledgements contradicted the outbox")
	}
	if reason := d.camera.Load(); reason != nil {
		fault(Degraded, *reason)
	}
	if link := d.link.Load(); link != nil {
		h.Uplink = linkState(link)
		switch err := link.State().Err; {
		case errors.Is(err, uplink.ErrIdentity), errors.Is(err, uplink.ErrNoReceipt):
			fault(Degraded, "records wait: "+err.Error())
		case h.Uplink.Failures >= silentAfter:
			fault(Degraded, "records wait: the collector does not answer")
		}
	}
	return h
}

func linkState(u *uplink.Uplink) *LinkState {
	s := u.State()
	out := &LinkState{Failures: s.Failures, Settled: s.Settled}
	if !s.LastReceipt.IsZero() {
		out.LastReceipt = &s.LastReceipt
	}
	if !s.NextTry.IsZero() {
		out.NextTry = &s.NextTry
	}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	return out
}
