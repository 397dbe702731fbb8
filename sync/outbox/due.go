package outbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxWait is the longest that a postponed record waits. A record that claims to
// wait longer was postponed under another clock, and is due.
const maxWait = 24 * time.Hour

// maxAttempts is how often a record may fail on its own account before it is
// set aside.
const maxAttempts = 8

// codeAttempts and codeDamaged say why the box itself set a record aside.
const (
	codeAttempts = "attempts_exhausted"
	codeDamaged  = "damaged"
)

// Due returns records whose time has come, oldest attempt first and in sequence
// order among those never postponed. It stops at maxRecords records or maxBytes
// bytes, but returns at least one record if any is due. The items are copies:
// no transaction stays open.
//
// A stored record that is not what was written is moved to quarantine and
// skipped.
func (b *Box) Due(ctx context.Context, now time.Time, maxRecords, maxBytes int) ([]Item, error) {
	if err := b.settleDisk(ctx); err != nil {
		return nil, fmt.Errorf("outbox: due: %w", err)
	}
	var items []Item
	var damaged []dueEntry
	err := b.view(func(tx *bolt.Tx) error {
		rec, err := bucket(tx, bucketRec)
		if err != nil {
			return err
		}
		size := 0
		return eachDue(tx, now, func(d dueEntry) bool {
			if len(items) >= maxRecords || ctx.Err() != nil {
				return false
			}
			item, _, err := b.unseal(d.seq, rec.Get(seqKey(d.seq)))
			if err != nil {
				damaged = append(damaged, d)
				return true
			}
			if size += len(item.Raw); size > maxBytes && len(items) > 0 {
				return false
			}
			items = append(items, item)
			return true
		})
	})
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && len(damaged) > 0 {
		err = b.setAsideDamaged(ctx, damaged)
	}
	if err != nil {
		return nil, fmt.Errorf("outbox: due: %w", err)
	}
	return items, nil
}

// dueEntry is a key of the due bucket.
type dueEntry struct {
	nextMs int64
	seq    uint64
}

// eachDue calls f for the entries that are due at now, until f returns false.
func eachDue(tx *bolt.Tx, now time.Time, f func(dueEntry) bool) error {
	due, err := bucket(tx, bucketDue)
	if err != nil {
		return err
	}
	ms := max(now.UnixMilli(), 0)
	ranges := [][2]int64{{0, ms}, {ms + maxWait.Milliseconds() + 1, math.MaxInt64}}
	c := due.Cursor()
	for _, r := range ranges {
		for k, _ := c.Seek(dueKey(r[0], 0)); k != nil; k, _ = c.Next() {
			d, ok := decodeDue(k)
			if !ok {
				continue
			}
			if d.nextMs > r[1] {
				break
			}
			if !f(d) {
				return nil
			}
		}
	}
	return nil
}

func decodeDue(k []byte) (dueEntry, bool) {
	if len(k) != 16 {
		return dueEntry{}, false
	}
	return dueEntry{int64(binary.BigEndian.Uint64(k)), binary.BigEndian.Uint64(k[8:])}, true
}

// Postpone counts a failed attempt against each of the records and lets them
// wait until the given time, at most 24 hours from now. It is for faults of the
// records themselves, never for a link that is down: at the eighth attempt a
// record goes to quarantine. Numbers that are not in the queue are ignored.
func (b *Box) Postpone(ctx context.Context, seqs []uint64, until time.Time) error {
	err := b.write(ctx, func(tx *bolt.Tx) error {
		for _, seq := range seqs {
			if err := b.postpone(tx, seq, until); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("outbox: postpone: %w", err)
	}
	return nil
}

func (b *Box) postpone(tx *bolt.Tx, seq uint64, until time.Time) error {
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return err
	}
	v := rec.Get(seqKey(seq))
	if v == nil {
		return nil
	}
	s, err := decodeStored(v)
	if err != nil {
		if err := dropDue(tx, seq); err != nil {
			return err
		}
		return b.quarantine(tx, seq, poisoned{code: codeDamaged})
	}
	queued, err := removeDue(tx, dueEntry{s.nextMs, seq})
	if err != nil || !queued {
		return err
	}
	s.attempts++
	if s.attempts >= maxAttempts {
		return b.quarantine(tx, seq, poisoned{code: codeAttempts, attempts: s.attempts})
	}
	latest := time.Now().Add(maxWait)
	if until.After(latest) {
		until = latest
	}
	return requeue(tx, seq, s, max(until.UnixMilli(), 0))
}

// requeue stores s with another time of its next attempt, and the entry for it.
func requeue(tx *bolt.Tx, seq uint64, s stored, nextMs int64) error {
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return err
	}
	s.nextMs = nextMs
	if err := rec.Put(seqKey(seq), s.encode()); err != nil {
		return err
	}
	due, err := bucket(tx, bucketDue)
	if err != nil {
		return err
	}
	return due.Put(dueKey(nextMs, seq), []byte{})
}

// removeDue deletes an entry and reports whether it was there.
func removeDue(tx *bolt.Tx, d dueEntry) (bool, error) {
	due, err := bucket(tx, bucketDue)
	if err != nil {
		return false, err
	}
	key := dueKey(d.nextMs, d.seq)
	// An empty value reads as an empty, non-nil slice.
	if due.Get(key) == nil {
		return false, nil
	}
	return true, due.Delete(key)
}

// dropDue deletes every entry of a record, by reading the whole queue: for a
// record whose header does not tell its place.
func dropDue(tx *bolt.Tx, seq uint64) error {
	due, err := bucket(tx, bucketDue)
	if err != nil {
		return err
	}
	var found [][]byte
	c := due.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if d, ok := decodeDue(k); ok && d.seq == seq {
			found = append(found, k)
		}
	}
	for _, k := range found {
		if err := due.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
