package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// DefaultSpread is the time over which a fleet's first connections are spread.
const DefaultSpread = 120 * time.Second

// idle is how long a quiet uplink waits before it looks again: a postponed
// record becomes due without a word.
const idle = time.Minute

// Options of an uplink.
type Options struct {
	// Spread bounds the random wait before the first connection and after the
	// loss of the collector. Pass DefaultSpread; 0 waits for nothing, which
	// is for tests and demonstrations.
	Spread time.Duration
	// Logger receives transitions and alarms; nil discards them.
	Logger *slog.Logger
}

// An Uplink drains one queue over one transport.
type Uplink struct {
	queue     Queue
	transport Transport
	spread    time.Duration
	log       *slog.Logger

	held held // of Run alone

	mu    sync.Mutex
	state State
}

// State is a snapshot for health reports.
type State struct {
	// LastReceipt is when a verified receipt last came, zero if never.
	LastReceipt time.Time
	// Failures counts the attempts that failed since a receipt last settled
	// a record.
	Failures int
	// NextTry is when the uplink tries again, zero while it is not waiting.
	NextTry time.Time
	// Err is the last failure, nil after a receipt that settled a record.
	Err error
	// Settled counts the records that left the queue since Run began.
	Settled uint64
	// Held counts the records that are passed over for now.
	Held int
}

// New returns an uplink; Run makes it work.
func New(q Queue, t Transport, o Options) *Uplink {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Uplink{queue: q, transport: t, spread: o.Spread, log: log, held: held{}}
}

// State returns a snapshot.
func (u *Uplink) State() State {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state
}

// Run sends until ctx ends, and then returns nil within two seconds if the
// transport keeps its contract. Run it once.
func (u *Uplink) Run(ctx context.Context) error {
	if err := u.wait(ctx, spreadDelay(u.spread)); err != nil {
		return nil
	}
	for ctx.Err() == nil {
		worked, err := u.round(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			err = u.wait(ctx, u.fail(err))
		case !worked:
			err = u.rest(ctx)
		}
		if err != nil {
			break
		}
	}
	return nil
}

// round sends one batch, in parts if the collector cannot read it whole, and
// reports whether there was one. An error means that nothing more should be sent
// for now.
func (u *Uplink) round(ctx context.Context) (worked bool, err error) {
	now := time.Now()
	_, heldBytes := u.held.expire(now)
	items, err := u.queue.Due(ctx, now, record.MaxBatchRecords+len(u.held), record.MaxBatchBytes+heldBytes)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errQueue, err)
	}
	batch := u.held.cut(items, record.MaxBatchRecords, record.MaxBatchBytes)
	if len(batch) == 0 {
		return false, nil
	}
	d := delivery{budget: budgetFor(len(batch), u.State().Failures)}
	err = u.deliver(ctx, batch, &d)
	if blamed := u.blame(ctx, batch, &d); err == nil {
		err = blamed
	}
	u.mu.Lock()
	u.state.Held = len(u.held)
	u.mu.Unlock()
	return true, err
}

// fail notes a failure and returns how long to wait for it.
func (u *Uplink) fail(err error) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	delay := fullJitter(u.state.Failures)
	kind := kindOf(err)
	if u.state.Failures == 0 && !u.state.LastReceipt.IsZero() && kind == ErrUnreachable {
		// The whole fleet lost the collector at this moment.
		delay = max(delay, spreadDelay(u.spread))
	}
	var send *SendError
	if errors.As(err, &send) {
		delay = honour(send.RetryAfter, delay)
	}
	if u.state.Err == nil || kindOf(u.state.Err) != kind {
		level := slog.LevelWarn
		if kind == ErrNoReceipt || kind == ErrIdentity {
			level = slog.LevelError
		}
		u.log.Log(context.Background(), level, "uplink waits", "error", err, "delay", delay.String())
	}
	u.state.Failures++
	u.state.Err = err
	return delay
}

// received notes a verified receipt. One that settled nothing ends no failure: a
// collector that knows nobody gives such receipts as fast as it is asked.
func (u *Uplink) received(settled outbox.Settled) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state.LastReceipt = time.Now()
	u.state.Settled += uint64(len(settled.Removed))
	if len(settled.Removed)+settled.Repeated+len(settled.Quarantined) == 0 {
		return
	}
	if u.state.Err != nil {
		u.log.Info("uplink works again", "failures", u.state.Failures)
	}
	u.state.Failures = 0
	u.state.Err = nil
}

// wait passes the time given, whatever arrives.
func (u *Uplink) wait(ctx context.Context, d time.Duration) error {
	u.setNextTry(time.Now().Add(d))
	defer u.setNextTry(time.Time{})
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// rest waits for a record to arrive or to become due.
func (u *Uplink) rest(ctx context.Context) error {
	d := idle
	if next, _ := u.held.expire(time.Now()); !next.IsZero() {
		d = min(d, time.Until(next))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-u.queue.Arrived():
		return nil
	case <-t.C:
		return nil
	}
}

func (u *Uplink) setNextTry(t time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state.NextTry = t
}
