package outbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
	"github.com/edgeverify/edgeverify/sync/record"
)

// maxHeld bounds the ranges of a gap record's body.
const maxHeld = 1000

// salvageStep is how many pages of the damaged file go into one transaction.
const salvageStep = 256

// gapBody is what a gap record states after a salvage: under Epoch, numbers
// below NextSeq were given, and the device still holds Held. What the collector
// neither has nor finds there is lost.
type gapBody struct {
	Cause   string      `json:"cause"` // store_damaged
	Epoch   uint32      `json:"epoch"`
	NextSeq uint64      `json:"next_seq"`
	Held    [][2]uint64 `json:"held"` // first and last of each run, ascending
	More    bool        `json:"more,omitempty"`
}

// salvage replaces a damaged store by a new one with every record that can
// still be read, under a new epoch, and states the gap in a signed record. The
// damaged file is kept under another name.
//
// It looks into every page, reachable or not, and trusts the seals alone. So a
// record that was delivered and not yet overwritten may come back: the
// collector answers that it has it.
func (b *Box) salvage(cause error, epoch uint32) (uint32, error) {
	b.log.Error("outbox is damaged, salvaging it", "error", cause)
	if err := b.closeStore(); err != nil {
		b.log.Warn("closing the damaged outbox", "error", err)
	}
	f, err := os.Open(b.path(storeFile))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s := &salvager{box: b, file: f, last: chain{epoch: epoch, next: 1}}
	err = b.replaceStoreAfter(s.fill, func() error {
		if s.opened == 0 && s.sealed > 0 {
			return fmt.Errorf("%w: nothing in it opens with this device's key: %w", ErrDamaged, cause)
		}
		aside := fmt.Sprintf("%s.damaged-%d", b.path(storeFile), s.last.epoch)
		if err := os.Link(b.path(storeFile), aside); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return b.writeEpoch(s.last.epoch + 1)
	})
	if err != nil {
		return 0, err
	}
	b.log.Error("outbox salvaged", "epoch", s.last.epoch+1, "records", len(s.held))
	return s.last.epoch + 1, nil
}

// salvager reads a damaged file.
type salvager struct {
	box  *Box
	file *os.File
	last chain // the furthest state found
	held []uint64
	// sealed counts values that look like ours, opened those whose seal
	// holds. Many sealed and none opened is the wrong key, not damage.
	sealed, opened int
}

// fill copies what opens into dst.
func (s *salvager) fill(dst *bolt.DB) error {
	if err := dst.Update(func(tx *bolt.Tx) error { return s.box.layout(tx) }); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	pages := uint64(info.Size() / pageSize)
	for from := uint64(2); from < pages; from += salvageStep {
		err := dst.Update(func(tx *bolt.Tx) error {
			for id := from; id < min(from+salvageStep, pages); id++ {
				for _, e := range boltpages.Find(s.file, pageSize, id, pages) {
					if err := s.take(tx, e); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return dst.Update(s.conclude)
}

// take keeps an element that proves to be a record, a claim or the chain state.
func (s *salvager) take(tx *bolt.Tx, e boltpages.Element) error {
	switch len(e.Key) {
	case len(keyChain):
		if string(e.Key) != keyChain {
			return nil
		}
		s.sealed++
		if c, err := s.box.openChain(e.Value); err == nil {
			s.opened++
			s.last.epoch = max(s.last.epoch, c.epoch)
			s.last.next = max(s.last.next, c.next)
		}
	case 16:
		if _, err := decodeClaim(e.Value); err == nil {
			return tx.Bucket([]byte(bucketRID)).Put(e.Key, e.Value)
		}
	case 8:
		if _, err := decodeStored(e.Value); err != nil {
			return nil
		}
		s.sealed++
		seq := binary.BigEndian.Uint64(e.Key)
		item, st, err := s.box.unseal(seq, e.Value)
		if err != nil {
			return nil
		}
		s.opened++
		s.held = append(s.held, seq)
		s.last.epoch = max(s.last.epoch, item.Epoch)
		s.last.next = max(s.last.next, seq+1)
		return s.restore(tx, item, st)
	}
	return nil
}

// restore stores a record that opened, and its claim, which may have been on a
// page that is lost.
func (s *salvager) restore(tx *bolt.Tx, item Item, st stored) error {
	e, err := record.Peek(item.Raw)
	if err != nil {
		return err
	}
	key, err := ridKey(e.RID)
	if err != nil {
		return err
	}
	c := claim{Position: item.Position, content: contentOf(e.Kind, e.Body)}
	if err := tx.Bucket([]byte(bucketRID)).Put(key, c.encode()); err != nil {
		return err
	}
	fresh := stored{kind: st.kind, epoch: st.epoch, sealed: st.sealed}
	return tx.Bucket([]byte(bucketRec)).Put(seqKey(item.Seq), fresh.encode())
}

// conclude queues what was found and states the gap as the first record of the
// new epoch.
func (s *salvager) conclude(tx *bolt.Tx) error {
	slices.Sort(s.held)
	s.held = slices.Compact(s.held)
	body := gapBody{Cause: "store_damaged", Epoch: s.last.epoch, NextSeq: s.last.next, Held: [][2]uint64{}}
	for _, seq := range s.held {
		if err := tx.Bucket([]byte(bucketDue)).Put(dueKey(0, seq), []byte{}); err != nil {
			return err
		}
		if n := len(body.Held); n > 0 && body.Held[n-1][1]+1 == seq {
			body.Held[n-1][1] = seq
		} else if n < maxHeld {
			body.Held = append(body.Held, [2]uint64{seq, seq})
		} else {
			body.More = true
		}
	}
	if err := s.box.storeChain(tx, chain{epoch: s.last.epoch + 1, next: s.last.next}); err != nil {
		return err
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
	if err := s.box.store(tx, []*pending{gap}); err != nil {
		return err
	}
	return gap.err
}
