package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
	"github.com/edgeverify/edgeverify/sync/record"
)

// salvageStep is how many pages of the damaged file go into one transaction.
const salvageStep = 256

// salvage replaces a damaged store by a new one with every record that can
// still be read, under a new epoch, and states the gap in a signed record. The
// damaged file is kept under another name.
//
// It looks into every page, reachable or not, and trusts the seals alone. So a
// record that was delivered and not yet overwritten may come back: the
// collector answers that it has it.
func (b *Box) salvage(cause error, reached anchor) (anchor, error) {
	b.log.Error("outbox is damaged, salvaging it", "error", cause)
	if err := b.closeStore(); err != nil {
		b.log.Warn("closing the damaged outbox", "error", err)
	}
	f, err := os.Open(b.path(storeFile))
	if err != nil {
		return anchor{}, err
	}
	defer f.Close()
	s := &salvager{box: b, file: f, reached: reached.epoch, last: chain{next: 1}}
	mark := anchor{incarnation: newIncarnation()}
	fill := func(dst *bolt.DB) error {
		if err := s.fill(dst); err != nil {
			return err
		}
		mark.epoch = s.epoch()
		return dst.Update(func(tx *bolt.Tx) error { return storeIncarnation(tx, mark.incarnation) })
	}
	err = b.replaceStoreAfter(fill, func() error {
		if s.opened == 0 && s.sealed > 0 {
			return fmt.Errorf("%w: nothing in it opens with this device's key: %w", ErrDamaged, cause)
		}
		aside := fmt.Sprintf("%s.damaged-%d", b.path(storeFile), s.last.epoch)
		if err := os.Link(b.path(storeFile), aside); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return b.writeAnchor(mark)
	})
	if err != nil {
		return anchor{}, err
	}
	b.log.Error("outbox salvaged", "epoch", mark.epoch, "records", len(s.held))
	return mark, nil
}

// salvager reads a damaged file.
type salvager struct {
	box  *Box
	file *os.File
	// reached is the epoch of the anchor, which may be ahead of the file.
	reached uint32
	last    chain // the furthest state found
	held    []uint64
	// sealed counts values that look like ours, opened those whose seal
	// holds. Many sealed and none opened is the wrong key, not damage.
	sealed, opened int
}

// epoch is the one that begins with the salvage.
func (s *salvager) epoch() uint32 { return max(s.last.epoch, s.reached) + 1 }

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

// take keeps an element that proves to be a record or the chain state. Claims are
// made anew from the records: the claim of a lost record would answer for it for
// ever, and without one the same outcome can be put again.
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

// restore stores a record that opened, and its claim.
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
	rids, err := bucket(tx, bucketRID)
	if err != nil {
		return err
	}
	if err := rids.Put(key, c.encode()); err != nil {
		return err
	}
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return err
	}
	fresh := stored{kind: st.kind, epoch: st.epoch, sealed: st.sealed}
	return rec.Put(seqKey(item.Seq), fresh.encode())
}

// conclude queues what was found and states the gap as the first record of the
// new epoch.
func (s *salvager) conclude(tx *bolt.Tx) error {
	slices.Sort(s.held)
	s.held = slices.Compact(s.held)
	due, err := bucket(tx, bucketDue)
	if err != nil {
		return err
	}
	for _, seq := range s.held {
		if err := due.Put(dueKey(0, seq), []byte{}); err != nil {
			return err
		}
	}
	if s.last.epoch == 0 {
		s.last.epoch = s.reached // nothing in the file says otherwise
	}
	if err := s.box.storeChain(tx, chain{epoch: s.epoch(), next: s.last.next}); err != nil {
		return err
	}
	return s.box.stateGap(tx, causeDamaged, s.last, s.held)
}
