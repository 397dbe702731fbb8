package uplink

import (
	"maps"
	"slices"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
)

// held are records that the collector refused while it accepted nothing else.
// Whether they are at fault is open: a proxy that answers 400 to everything looks
// the same. They are passed over for a while, in memory only, so that they
// block nobody; once another record is accepted, the fault is theirs and the
// outbox counts the attempt.
type held map[uint64]hold

type hold struct {
	until time.Time
	size  int
}

// maxHeld bounds what is passed over, and with it what Due reads in vain.
const maxHeld = 1024

func (h held) add(items []outbox.Item, until time.Time) {
	for _, item := range items {
		if len(h) < maxHeld {
			h[item.Seq] = hold{until: until, size: len(item.Raw)}
		}
	}
}

// expire forgets the holds that are over, and returns when the next one will be
// (zero if none) and the bytes of those that remain.
func (h held) expire(now time.Time) (next time.Time, size int) {
	for seq, x := range h {
		if !x.until.After(now) {
			delete(h, seq)
			continue
		}
		size += x.size
		if next.IsZero() || x.until.Before(next) {
			next = x.until
		}
	}
	return next, size
}

// take returns the numbers of all held records and holds none of them any more.
func (h held) take() []uint64 {
	seqs := slices.Collect(maps.Keys(h))
	clear(h)
	return seqs
}

// cut returns the first batch among items: not held, of one epoch, and within
// the limits of a batch.
func (h held) cut(items []outbox.Item, maxRecords, maxBytes int) []outbox.Item {
	var batch []outbox.Item
	size := 0
	for _, item := range items {
		if _, skip := h[item.Seq]; skip {
			continue
		}
		if len(batch) > 0 && (len(batch) == maxRecords || item.Epoch != batch[0].Epoch || size+len(item.Raw) > maxBytes) {
			break
		}
		size += len(item.Raw)
		batch = append(batch, item)
	}
	return batch
}
