package outbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// poisoned is a value of the poison bucket: why a record is out of the queue.
// Its bytes stay in rec.
type poisoned struct {
	code     string
	attempts uint16
	atMs     int64
}

const poisonFixed = 10

func (p poisoned) encode() []byte {
	v := binary.BigEndian.AppendUint16(nil, p.attempts)
	v = binary.BigEndian.AppendUint64(v, uint64(p.atMs))
	return append(v, p.code...)
}

func decodePoisoned(v []byte) poisoned {
	if len(v) < poisonFixed {
		return poisoned{code: codeDamaged}
	}
	return poisoned{
		attempts: binary.BigEndian.Uint16(v),
		atMs:     int64(binary.BigEndian.Uint64(v[2:])),
		code:     string(v[poisonFixed:]),
	}
}

// quarantine notes why a record is set aside. The caller has removed its due
// entry. The stored bytes stay untouched: of a damaged record they are evidence.
func (b *Box) quarantine(tx *bolt.Tx, seq uint64, p poisoned) error {
	poison, err := bucket(tx, bucketPoison)
	if err != nil {
		return err
	}
	p.atMs = time.Now().UnixMilli()
	b.log.Warn("record set aside", "seq", seq, "code", p.code)
	return poison.Put(seqKey(seq), p.encode())
}

// setAsideDamaged quarantines the records of entries whose bytes did not open.
func (b *Box) setAsideDamaged(ctx context.Context, entries []dueEntry) error {
	return b.write(ctx, func(tx *bolt.Tx) error {
		rec, err := bucket(tx, bucketRec)
		if err != nil {
			return err
		}
		for _, d := range entries {
			if _, err := removeDue(tx, d); err != nil {
				return err
			}
			v := rec.Get(seqKey(d.seq))
			if v == nil {
				continue // settled since, or an entry without a record
			}
			if _, st, err := b.unseal(d.seq, v); err == nil {
				// The entry was wrong, not the record.
				if err := requeue(tx, d.seq, st, 0); err != nil {
					return err
				}
				continue
			}
			if err := b.quarantine(tx, d.seq, poisoned{code: codeDamaged}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Retry makes a quarantined record due again, with its attempts forgotten. It
// returns ErrNotFound where seq is not in quarantine and ErrDamaged where its
// bytes cannot be sent.
func (b *Box) Retry(ctx context.Context, seq uint64) error {
	err := b.write(ctx, func(tx *bolt.Tx) error {
		poison, err := bucket(tx, bucketPoison)
		if err != nil {
			return err
		}
		rec, err := bucket(tx, bucketRec)
		if err != nil {
			return err
		}
		v := rec.Get(seqKey(seq))
		if v == nil || poison.Get(seqKey(seq)) == nil {
			return ErrNotFound
		}
		_, st, err := b.unseal(seq, v)
		if err != nil {
			return err
		}
		if err := poison.Delete(seqKey(seq)); err != nil {
			return err
		}
		st.attempts = 0
		return requeue(tx, seq, st, 0)
	})
	if err != nil {
		return fmt.Errorf("outbox: retry record %d: %w", seq, err)
	}
	b.signalArrival()
	return nil
}
