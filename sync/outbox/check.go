package outbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

// tail is how many of the newest records an unclean start reads through. A
// commit touches the end of the chain; older records are checked when they are
// handed out.
const tail = 1024

// Check reads the whole store and returns every fault it finds: pages, seals,
// checksums, the hash chain, and entries without their record. It changes
// nothing.
func (b *Box) Check(ctx context.Context) error {
	if err := b.verifyStructure(); err != nil {
		return fmt.Errorf("outbox: check: %w", err)
	}
	var faults []error
	err := b.view(func(tx *bolt.Tx) error {
		c, err := b.loadChain(tx)
		if err != nil {
			return err
		}
		faults, err = b.walkChain(ctx, tx, c, 0)
		return err
	})
	if err = errors.Join(append(faults, err)...); err != nil {
		return fmt.Errorf("outbox: check: %w", err)
	}
	return nil
}

// verifyStructure runs bbolt's own consistency check.
func (b *Box) verifyStructure() error {
	return b.view(func(tx *bolt.Tx) error {
		var faults []error
		for err := range tx.Check() {
			faults = append(faults, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		return errors.Join(faults...)
	})
}

// walkChain reads the records from seq on and returns their faults: every
// record must open, follow its predecessor where that is still stored, and
// stand either in the queue or in quarantine.
func (b *Box) walkChain(ctx context.Context, tx *bolt.Tx, c chain, from uint64) ([]error, error) {
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return nil, err
	}
	var faults []error
	fault := func(seq uint64, what string) {
		faults = append(faults, fmt.Errorf("%w: record %d: %s", ErrDamaged, seq, what))
	}
	var last Item
	cur := rec.Cursor()
	for k, v := cur.Seek(seqKey(from)); k != nil; k, v = cur.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(k) != 8 {
			faults = append(faults, fmt.Errorf("%w: key of %d bytes among the records", ErrDamaged, len(k)))
			continue
		}
		seq := binary.BigEndian.Uint64(k)
		item, st, err := b.unseal(seq, v)
		if err != nil {
			faults = append(faults, fmt.Errorf("record %d: %w", seq, err))
			last = Item{}
			continue
		}
		if seq >= c.next {
			fault(seq, "beyond the next number")
		}
		if item.Epoch == last.Epoch && seq == last.Seq+1 && !follows(item, last) {
			fault(seq, "does not follow its predecessor")
		}
		if placed(tx, seq, st) != 1 {
			fault(seq, "must stand in the queue or in quarantine")
		}
		last = item
	}
	if last.Seq+1 == c.next && last.Epoch == c.epoch && record.FormatDigest(last.Digest) != c.head {
		fault(last.Seq, "is not the head of the chain")
	}
	return faults, nil
}

func follows(item, previous Item) bool {
	e, err := record.Peek(item.Raw)
	return err == nil && e.Prev == record.FormatDigest(previous.Digest)
}

// placed counts the entries of a record in queue and quarantine.
func placed(tx *bolt.Tx, seq uint64, st stored) int {
	n := 0
	if tx.Bucket([]byte(bucketDue)).Get(dueKey(st.nextMs, seq)) != nil {
		n++
	}
	if tx.Bucket([]byte(bucketPoison)).Get(seqKey(seq)) != nil {
		n++
	}
	return n
}

// everyRecordPlaced compares how many records there are with how many stand in the
// queue or in quarantine: damage to the queue's pages can hide records that are
// whole.
func everyRecordPlaced(tx *bolt.Tx) (bool, error) {
	keys := map[string]int{}
	for _, name := range []string{bucketRec, bucketDue, bucketPoison} {
		bkt, err := bucket(tx, name)
		if err != nil {
			return false, err
		}
		keys[name] = bkt.Stats().KeyN
	}
	return keys[bucketRec] == keys[bucketDue]+keys[bucketPoison], nil
}

// repair makes the newest records of a store that was not closed fit to be
// handed out: one that does not open goes to quarantine, and one without an
// entry gets one.
func (b *Box) repair(tx *bolt.Tx) error {
	c, err := b.loadChain(tx)
	if err != nil {
		return err
	}
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return err
	}
	faults, err := b.walkChain(context.Background(), tx, c, c.next-min(c.next, tail))
	if err != nil {
		return err
	}
	for _, f := range faults {
		b.log.Error("outbox repair", "fault", f)
	}
	if len(faults) == 0 {
		return nil
	}
	type entry struct {
		seq uint64
		st  stored
		bad bool
	}
	var entries []entry
	cur := rec.Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		if len(k) != 8 {
			continue
		}
		seq := binary.BigEndian.Uint64(k)
		_, st, err := b.unseal(seq, v)
		if err != nil || placed(tx, seq, st) == 0 {
			entries = append(entries, entry{seq, st, err != nil})
		}
	}
	for _, e := range entries {
		if e.bad {
			err = errors.Join(dropDue(tx, e.seq), b.quarantine(tx, e.seq, poisoned{code: codeDamaged}))
		} else {
			err = requeue(tx, e.seq, e.st, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
