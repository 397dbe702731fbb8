package outbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

// Position returns the position of the record that rid stands for, delivered or
// not, and whether there is one.
func (b *Box) Position(rid string) (Position, bool, error) {
	key, err := ridKey(rid)
	if err != nil {
		return Position{}, false, fmt.Errorf("outbox: position: %w", err)
	}
	var c claim
	found := false
	err = b.view(func(tx *bolt.Tx) error {
		rids, err := bucket(tx, bucketRID)
		if err != nil {
			return err
		}
		v := rids.Get(key)
		if v == nil {
			return nil
		}
		found = true
		c, err = decodeClaim(v)
		return err
	})
	if err != nil {
		return Position{}, false, fmt.Errorf("outbox: position: %w", err)
	}
	return c.Position, found, nil
}

// Stats describes the outbox at one moment. Sizes are in bytes.
type Stats struct {
	Queued      int // due now or later
	Quarantined int
	Epoch       uint32
	NextSeq     uint64
	Used        int64 // pages in use
	FileSize    int64
	Quota       int64
	// Oldest is when the record at the head of the queue was named (the time
	// in its rid), zero when the queue is empty.
	Oldest time.Time
	// Fault is why the outbox refuses records, nil in order.
	Fault   error
	Full    bool   // the last put found no room
	Commits uint64 // since Open
	Faults  uint64 // commits that the disk refused, since Open
	Alarms  uint64 // acknowledgements that contradicted the store, since Open
	Written uint64 // bytes of pages written since the file was opened
}

// Stats reads the counters. It costs one pass over the keys of the queue.
func (b *Box) Stats(ctx context.Context) (Stats, error) {
	s := Stats{
		Quota:   b.o.Quota,
		Full:    b.full.Load(),
		Commits: b.commits.Load(),
		Faults:  b.faults.Load(),
		Alarms:  b.alarms.Load(),
	}
	if err := ctx.Err(); err != nil {
		return Stats{}, err
	}
	err := b.view(func(tx *bolt.Tx) error {
		c, err := b.loadChain(tx)
		if err != nil {
			return err
		}
		s.Epoch, s.NextSeq = c.epoch, c.next
		s.Fault = b.fault // under the read lock of view
		s.FileSize, s.Used = tx.Size(), used(tx)
		ts := tx.DB().Stats().TxStats
		s.Written = uint64(ts.GetPageAlloc())
		due, err := bucket(tx, bucketDue)
		if err != nil {
			return err
		}
		poison, err := bucket(tx, bucketPoison)
		if err != nil {
			return err
		}
		s.Queued, s.Quarantined = due.Stats().KeyN, poison.Stats().KeyN
		s.Oldest = b.oldest(tx, due)
		return nil
	})
	if err != nil {
		return Stats{}, fmt.Errorf("outbox: stats: %w", err)
	}
	return s, nil
}

func (b *Box) oldest(tx *bolt.Tx, due *bolt.Bucket) time.Time {
	k, _ := due.Cursor().First()
	d, ok := decodeDue(k)
	if !ok {
		return time.Time{}
	}
	item, _, err := b.unseal(d.seq, tx.Bucket([]byte(bucketRec)).Get(seqKey(d.seq)))
	if err != nil {
		return time.Time{}
	}
	id, err := uuid.Parse(item.RID)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(id.Time().UnixTime())
}

// Entry is a line of the list of records.
type Entry struct {
	Position
	RID      string
	Kind     record.Kind
	Size     int // bytes of the signed record
	Attempts int
	Next     time.Time // of the next attempt; zero: at once, or in quarantine
	// Quarantine is the code that set the record aside, "" for one in the
	// queue. Of a damaged record only Seq is known.
	Quarantine string
}

// List returns up to n stored records with a number above after, in order.
func (b *Box) List(ctx context.Context, after uint64, n int) ([]Entry, error) {
	var list []Entry
	err := b.view(func(tx *bolt.Tx) error {
		rec, err := bucket(tx, bucketRec)
		if err != nil {
			return err
		}
		poison, err := bucket(tx, bucketPoison)
		if err != nil {
			return err
		}
		cur := rec.Cursor()
		for k, v := cur.Seek(seqKey(after + 1)); k != nil && len(list) < n; k, v = cur.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(k) == 8 {
				list = append(list, b.entry(k, v, poison.Get(k)))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: list: %w", err)
	}
	return list, nil
}

func (b *Box) entry(k, v, poison []byte) Entry {
	seq := binary.BigEndian.Uint64(k)
	e := Entry{Position: Position{Seq: seq}, Size: len(v)}
	if poison != nil {
		p := decodePoisoned(poison)
		e.Quarantine, e.Attempts = p.code, int(p.attempts)
	}
	item, st, err := b.unseal(seq, v)
	if err != nil {
		e.Quarantine = codeDamaged
		return e
	}
	e.Position, e.RID, e.Kind, e.Size = item.Position, item.RID, item.Kind, len(item.Raw)
	if poison == nil {
		e.Attempts = int(st.attempts)
		if st.nextMs > 0 {
			e.Next = time.UnixMilli(st.nextMs)
		}
	}
	return e
}

// Show returns the signed bytes of a stored record, or ErrNotFound. Of a damaged
// record it returns the bytes as stored, together with ErrDamaged.
func (b *Box) Show(_ context.Context, seq uint64) ([]byte, error) {
	var raw []byte
	err := b.view(func(tx *bolt.Tx) error {
		rec, err := bucket(tx, bucketRec)
		if err != nil {
			return err
		}
		v := rec.Get(seqKey(seq))
		if v == nil {
			return ErrNotFound
		}
		item, _, err := b.unseal(seq, v)
		if err != nil {
			raw = append(raw, v...)
			return err
		}
		raw = item.Raw
		return nil
	})
	if err != nil {
		return raw, fmt.Errorf("outbox: record %d: %w", seq, err)
	}
	return raw, nil
}
