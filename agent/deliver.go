package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// letter is what the vault keeps for the outbox: a record's kind and body.
type letter struct {
	Kind record.Kind     `json:"kind"`
	Body json.RawMessage `json:"body"`
}

func (l letter) encode() ([]byte, error) {
	payload, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode an outcome: %w", err)
	}
	return payload, nil
}

// deliver puts every payload that the vault still holds into the outbox, in
// the order of their commits; one that cannot be put does not hold up those
// behind it. It is idempotent: a record that is there already is not doubled.
func (d *Device) deliver(ctx context.Context) error {
	d.delivering.Lock()
	defer d.delivering.Unlock()
	var errs []error
	for outcome, err := range d.vault.Pending(ctx) {
		if err == nil {
			err = d.hand(ctx, outcome)
		}
		errs = append(errs, err)
		if errors.Is(err, outbox.ErrFull) || errors.Is(err, outbox.ErrDisk) || ctx.Err() != nil {
			break // so would every other one
		}
	}
	return errors.Join(errs...)
}

// hand puts one outcome into the outbox.
func (d *Device) hand(ctx context.Context, outcome vault.Outcome) error {
	var l letter
	if err := json.Unmarshal(outcome.Payload, &l); err != nil {
		return fmt.Errorf("outcome %s: %w", outcome.RID, err)
	}
	at, err := d.outbox.Put(ctx, outcome.RID, l.Kind, l.Body)
	if err != nil {
		return err
	}
	if err := d.vault.MarkDone(ctx, outcome.RID); err != nil {
		return err
	}
	d.log.Info("recorded", "kind", l.Kind, "rid", outcome.RID, "epoch", at.Epoch, "seq", at.Seq)
	return nil
}

// tellCentre records what no outcome of the vault stands behind.
func (d *Device) tellCentre(ctx context.Context, kind record.Kind, b record.Body) error {
	body, err := b.Encode()
	if err != nil {
		return err
	}
	if _, err := d.outbox.Put(ctx, newID(), kind, body); err != nil {
		return d.cannotKeep(err)
	}
	return nil
}

// waiting counts the outcomes that the outbox does not hold yet.
func (d *Device) waiting(ctx context.Context) (n int, err error) {
	for range d.vault.Pending(ctx) { // one that is damaged waits as well
		n++
	}
	return n, ctx.Err()
}
