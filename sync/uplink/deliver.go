package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// delivery is the account of one batch.
type delivery struct {
	requests int
	// budget bounds the requests as long as the collector accepts nothing.
	budget int
	// accepted counts the records that the collector has now.
	accepted int
	// refused are single records that the collector could not read or
	// rejected for now.
	refused []outbox.Item
}

// budgetFor allows the search for one bad record among n, and at first for a few
// more. If nothing was accepted by then, the records are hardly the reason, and
// the next rounds ask less.
func budgetFor(n, failures int) int {
	search := bits.Len(uint(n)) + 1
	if failures > 0 {
		return search
	}
	return 4 * search
}

// deliver sends items. A batch that the collector cannot read is halved until
// the record at fault stands alone, after at most log2(n) halvings; the others
// get through.
func (u *Uplink) deliver(ctx context.Context, items []outbox.Item, d *delivery) error {
	if d.accepted == 0 && d.requests >= d.budget {
		return &SendError{Kind: ErrRefused, Err: fmt.Errorf("%d requests refused in a row", d.requests)}
	}
	d.requests++
	err := u.send(ctx, items, d)
	if err == nil || kindOf(err) != ErrRefused {
		return err
	}
	if len(items) == 1 {
		d.refused = append(d.refused, items[0])
		return nil
	}
	half := len(items) / 2
	if err := u.deliver(ctx, items[:half], d); err != nil {
		return err
	}
	return u.deliver(ctx, items[half:], d)
}

// send makes one request and settles its acknowledgements.
func (u *Uplink) send(ctx context.Context, items []outbox.Item, d *delivery) error {
	acks, err := u.transport.Send(ctx, items)
	if err != nil {
		return err
	}
	if answered(items, acks) == 0 {
		return &SendError{Kind: ErrNoReceipt, Err: fmt.Errorf("receipt answers none of the %d records sent", len(items))}
	}
	// A receipt that has come is used even while stopping: it is one commit.
	settled, err := u.queue.Settle(context.WithoutCancel(ctx), acks)
	if err != nil {
		return fmt.Errorf("%w: %w", errQueue, err)
	}
	if len(settled.Removed)+len(settled.Quarantined)+len(settled.Retryable)+settled.Repeated == 0 {
		return &SendError{Kind: ErrNoReceipt, Err: errors.New("receipt contradicts the outbox")}
	}
	u.received(settled)
	d.accepted += len(settled.Removed) + settled.Repeated
	d.refused = append(d.refused, pick(items, settled.Retryable)...)
	return nil
}

// answered counts the acknowledgements that are about the records sent. An old
// receipt played again is validly signed and answers none.
func answered(items []outbox.Item, acks []record.Acknowledgement) int {
	sent := make(map[outbox.Position]struct{}, len(items))
	for _, item := range items {
		sent[item.Position] = struct{}{}
	}
	n := 0
	for _, a := range acks {
		if _, ok := sent[outbox.Position{Epoch: a.Epoch, Seq: a.Seq, Digest: a.Digest}]; ok {
			n++
		}
	}
	return n
}

func pick(items []outbox.Item, positions []outbox.Position) []outbox.Item {
	var picked []outbox.Item
	for _, p := range positions {
		for _, item := range items {
			if item.Position == p {
				picked = append(picked, item)
			}
		}
	}
	return picked
}

// blame decides what a refusal means. Where other records were accepted, the
// refused ones are at fault themselves: the outbox counts the attempt, and sets
// them aside at the eighth. Where nothing was accepted they are passed over, so
// that what arrives next has its turn; a batch of several that all failed is a
// reason to wait.
func (u *Uplink) blame(ctx context.Context, batch []outbox.Item, d *delivery) error {
	until := time.Now().Add(MaxDelay)
	if d.accepted == 0 {
		u.held.add(d.refused, until)
		if len(batch) > 1 && len(d.refused) == len(batch) {
			return &SendError{Kind: ErrRefused, Err: fmt.Errorf("all %d records refused", len(batch))}
		}
		return nil
	}
	// Of those held, some may be innocent: they are due again at once.
	return errors.Join(
		u.postpone(ctx, u.held.take(), time.Now()),
		u.postpone(ctx, seqsOf(d.refused), until),
	)
}

func (u *Uplink) postpone(ctx context.Context, seqs []uint64, until time.Time) error {
	if len(seqs) == 0 {
		return nil
	}
	u.log.Warn("records refused while others were accepted", "records", len(seqs), "first", slices.Min(seqs))
	if err := u.queue.Postpone(context.WithoutCancel(ctx), seqs, until); err != nil {
		return fmt.Errorf("%w: %w", errQueue, err)
	}
	return nil
}

func seqsOf(items []outbox.Item) []uint64 {
	seqs := make([]uint64, len(items))
	for i, item := range items {
		seqs[i] = item.Seq
	}
	return seqs
}
