package outbox

import (
	"encoding/binary"
	"encoding/json"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

// maxHeld bounds the ranges of a gap record's body.
const maxHeld = 1000

// Causes of a gap.
const (
	causeDamaged  = "store_damaged"
	causeRestored = "store_restored" // an older copy was put back
)

// gapBody is what a gap record states, as the first record of a new epoch: of
// Epoch, numbers below NextSeq were given, and the device still holds Held. What
// the collector neither has nor finds there is lost. Of a store that was
// restored, numbers from NextSeq on may have been given under Epoch as well.
type gapBody struct {
	Cause   string      `json:"cause"`
	Epoch   uint32      `json:"epoch"`
	NextSeq uint64      `json:"next_seq"`
	Held    [][2]uint64 `json:"held"` // first and last of each run, ascending
	More    bool        `json:"more,omitempty"`
}

// stateGap puts the gap record. before is where the chain stood, held the
// numbers stored, ascending.
func (b *Box) stateGap(tx *bolt.Tx, cause string, before chain, held []uint64) error {
	body := gapBody{Cause: cause, Epoch: before.epoch, NextSeq: before.next, Held: [][2]uint64{}}
	for _, seq := range held {
		if n := len(body.Held); n > 0 && body.Held[n-1][1]+1 == seq {
			body.Held[n-1][1] = seq
		} else if n < maxHeld {
			body.Held = append(body.Held, [2]uint64{seq, seq})
		} else {
			body.More = true
			break
		}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	rid, err := uuid.NewV7()
	if err != nil {
		return err
	}
	gap, err := newPending(rid.String(), record.Gap, raw)
	if err != nil {
		return err
	}
	gap.owed = true
	if err := b.store(tx, []*pending{gap}); err != nil {
		return err
	}
	return gap.err
}

// heldSeqs returns the numbers of the records that are stored.
func heldSeqs(tx *bolt.Tx) ([]uint64, error) {
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return nil, err
	}
	var held []uint64
	c := rec.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(k) == 8 {
			held = append(held, binary.BigEndian.Uint64(k))
		}
	}
	return held, nil
}
