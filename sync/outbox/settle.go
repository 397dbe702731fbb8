package outbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

// settleGroup bounds the acknowledgements of one transaction.
const settleGroup = 256

// ackedRing bounds the acknowledgements that are kept for questions later.
const ackedRing = 4096

// Settled says what became of a set of acknowledgements.
type Settled struct {
	Removed     []Position // the collector has them; they left the queue
	Quarantined []Position // rejected for good, or damaged here; set aside
	Retryable   []Position // rejected for now; still due, Postpone is the caller's
	// Repeated counts acknowledgements of records that were settled before.
	Repeated int
	// Alarms are acknowledgements that contradict what is stored: another
	// digest or epoch, or a number that was never given. Nothing was changed
	// on their account.
	Alarms []record.Acknowledgement
}

// Settle applies acknowledgements whose receipt the caller has verified. Epoch
// and digest are compared here once more with the stored bytes, and only a
// match removes a record.
func (b *Box) Settle(ctx context.Context, acks []record.Acknowledgement) (Settled, error) {
	var all Settled
	for len(acks) > 0 {
		n := min(len(acks), settleGroup)
		s, err := b.settle(ctx, acks[:n])
		if errors.Is(err, ErrFull) && n > 1 {
			// Even removing copies pages first. One at a time needs the least.
			s, err = b.settleSingly(ctx, acks[:n])
		}
		all.add(s)
		if err != nil {
			return all, fmt.Errorf("outbox: settle: %w", err)
		}
		acks = acks[n:]
	}
	for _, a := range all.Alarms {
		b.alarms.Add(1)
		b.log.Error("acknowledgement contradicts the outbox", "epoch", a.Epoch, "seq", a.Seq, "status", a.Status)
	}
	return all, nil
}

func (b *Box) settleSingly(ctx context.Context, acks []record.Acknowledgement) (Settled, error) {
	var all Settled
	for i := range acks {
		s, err := b.settle(ctx, acks[i:i+1])
		if err != nil {
			return all, err
		}
		all.add(s)
	}
	return all, nil
}

func (b *Box) settle(ctx context.Context, acks []record.Acknowledgement) (Settled, error) {
	var s Settled
	err := b.write(ctx, func(tx *bolt.Tx) error {
		s = Settled{}
		for _, a := range acks {
			if err := b.apply(tx, a, &s); err != nil {
				return err
			}
		}
		return trimRing(tx)
	})
	if err != nil {
		return Settled{}, err
	}
	return s, nil
}

func (s *Settled) add(t Settled) {
	s.Removed = append(s.Removed, t.Removed...)
	s.Quarantined = append(s.Quarantined, t.Quarantined...)
	s.Retryable = append(s.Retryable, t.Retryable...)
	s.Repeated += t.Repeated
	s.Alarms = append(s.Alarms, t.Alarms...)
}

// apply settles one acknowledgement within tx.
func (b *Box) apply(tx *bolt.Tx, a record.Acknowledgement, s *Settled) error {
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return err
	}
	v := rec.Get(seqKey(a.Seq))
	if v == nil {
		if known, err := repeats(tx, a); err != nil || known {
			s.Repeated++
			return err
		}
		s.Alarms = append(s.Alarms, a)
		return nil
	}
	item, st, err := b.unseal(a.Seq, v)
	if err != nil {
		// The bytes of the header are not to be trusted for the place in the
		// queue, nor those of the record for what was acknowledged.
		if err := dropDue(tx, a.Seq); err != nil {
			return err
		}
		s.Quarantined = append(s.Quarantined, Position{Epoch: a.Epoch, Seq: a.Seq, Digest: a.Digest})
		return b.quarantine(tx, a.Seq, poisoned{code: codeDamaged})
	}
	if item.Epoch != a.Epoch || item.Digest != a.Digest {
		s.Alarms = append(s.Alarms, a)
		return nil
	}
	switch {
	case a.Settles():
		s.Removed = append(s.Removed, item.Position)
		return remove(tx, a, st)
	case a.Retryable():
		s.Retryable = append(s.Retryable, item.Position)
		return nil
	case a.Status == record.Rejected:
		if _, err := removeDue(tx, dueEntry{st.nextMs, a.Seq}); err != nil {
			return err
		}
		s.Quarantined = append(s.Quarantined, item.Position)
		return b.quarantine(tx, a.Seq, poisoned{code: a.Code, attempts: st.attempts})
	}
	s.Alarms = append(s.Alarms, a) // a status that says nothing
	return nil
}

// remove deletes an acknowledged record, also out of quarantine, and notes the
// acknowledgement.
func remove(tx *bolt.Tx, a record.Acknowledgement, st stored) error {
	key := seqKey(a.Seq)
	if _, err := removeDue(tx, dueEntry{st.nextMs, a.Seq}); err != nil {
		return err
	}
	for _, name := range []string{bucketRec, bucketPoison} {
		bkt, err := bucket(tx, name)
		if err != nil {
			return err
		}
		if err := bkt.Delete(key); err != nil {
			return err
		}
	}
	acked, err := bucket(tx, bucketAcked)
	if err != nil {
		return err
	}
	v := binary.BigEndian.AppendUint32(nil, a.Epoch)
	v = binary.BigEndian.AppendUint64(v, uint64(time.Now().UnixMilli()))
	v = append(v, a.Digest[:]...)
	return acked.Put(key, append(v, a.Status...))
}

// repeats reports whether the same bytes were acknowledged before.
func repeats(tx *bolt.Tx, a record.Acknowledgement) (bool, error) {
	acked, err := bucket(tx, bucketAcked)
	if err != nil {
		return false, err
	}
	v := acked.Get(seqKey(a.Seq))
	return len(v) >= 44 &&
		binary.BigEndian.Uint32(v) == a.Epoch &&
		[32]byte(v[12:44]) == a.Digest, nil
}

// trimRing drops the oldest acknowledgements above ackedRing, by number: the
// ring covers the last ackedRing sequence numbers.
func trimRing(tx *bolt.Tx) error {
	acked, err := bucket(tx, bucketAcked)
	if err != nil {
		return err
	}
	c := acked.Cursor()
	last, _ := c.Last()
	if len(last) != 8 {
		return nil
	}
	newest := binary.BigEndian.Uint64(last)
	var old [][]byte
	for k, _ := c.First(); len(k) == 8 && binary.BigEndian.Uint64(k)+ackedRing <= newest; k, _ = c.Next() {
		old = append(old, k)
	}
	for _, k := range old {
		if err := acked.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
