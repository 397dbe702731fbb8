package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
// the order of their commits. It is idempotent: a record that is there already
// is not doubled.
func (d *Device) deliver(ctx context.Context) error {
	d.delivering.Lock()
	defer d.delivering.Unlock()
	for outcome, err := range d.vault.Pending(ctx) {
		if err != nil {
			return err
		}
		var l letter
		if err := json.Unmarshal(outcome.Payload, &l); err != nil {
			return fmt.Errorf("outcome %s: %w", outcome.RID, err)
		}
		at, err := d.outbox.Put(ctx, outcome.RID, l.Kind, l.Body)
		if err != nil {
			if errors.Is(err, outbox.ErrFull) {
				d.log.Warn("out of service", "reason", "outbox full")
			}
			return err
		}
		if err := d.vault.MarkDone(ctx, outcome.RID); err != nil {
			return err
		}
		d.log.Info("recorded", "kind", l.Kind, "rid", outcome.RID, "epoch", at.Epoch, "seq", at.Seq)
	}
	return nil
}

// waiting counts the outcomes that the outbox does not hold yet.
func (d *Device) waiting(ctx context.Context) (n int, err error) {
	for _, err := range d.vault.Pending(ctx) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
