package collector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
	"go.etcd.io/bbolt"
)

var (
	// errKeyReused marks an Idempotency-Key that came with another body before.
	errKeyReused = errors.New("idempotency key was used with another body")
	// errLimit marks a page size outside its range.
	errLimit = fmt.Errorf("limit must be 1 to %d", maxRecordsPage)
)

const (
	maxRecordsPage = 1000
	maxGaps        = 1000
)

// A batchRequest names one delivery: its sender, and what must not be used
// twice for different bytes.
type batchRequest struct {
	tenant, device string
	key            string // Idempotency-Key
	body           [32]byte
}

// verdict is what became of one record.
type verdict struct {
	status record.AckStatus
	code   string
}

// commit stores the records in one transaction and returns once it is on disk.
// Either every verdict holds or, with an error, none.
func (s *store) commit(r batchRequest, records []arriving, now time.Time) (verdicts []verdict, id string, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		verdicts = verdicts[:0]
		if err := useKey(tx, r, now); err != nil {
			return err
		}
		for _, a := range records {
			status, code, err := put(tx, a, now)
			if err != nil {
				return err
			}
			verdicts = append(verdicts, verdict{status, code})
		}
		id = strconv.Itoa(tx.ID())
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return verdicts, id, nil
}

func useKey(tx *bbolt.Tx, r batchRequest, now time.Time) error {
	b := tx.Bucket(bucketRequests)
	key := append(devicePrefix(r.tenant, r.device), r.key...)
	if used := b.Get(key); len(used) == 8+len(r.body) {
		since := time.UnixMilli(int64(binary.BigEndian.Uint64(used)))
		if now.Sub(since) < keepRequests && !bytes.Equal(used[8:], r.body[:]) {
			return errKeyReused
		}
	}
	return b.Put(key, append(unixMilli(now), r.body[:]...))
}

// records reads rows in order of arrival.
func (s *store) records(ctx context.Context, tenant, device string, after uint64, limit int) ([]Stored, error) {
	if limit < 1 || limit > maxRecordsPage {
		return nil, errLimit
	}
	var out []Stored
	err := s.db.View(func(tx *bbolt.Tx) error {
		rows := tx.Bucket(bucketRows)
		c := tx.Bucket(bucketArrivals).Cursor()
		for k, position := c.Seek(binary.BigEndian.AppendUint64(nil, after+1)); k != nil && len(out) < limit; k, position = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !ofDevice(position, tenant, device) {
				continue
			}
			r, err := decodeRow(rows.Get(position))
			if err != nil {
				return err
			}
			raw := bytes.Clone(r.raw)
			if record.Digest(raw) != r.digest {
				return fmt.Errorf("%w: arrival %d is not what was received", errRowDamaged, r.arrival)
			}
			e, err := record.Peek(raw)
			if err != nil {
				return fmt.Errorf("%w: arrival %d: %w", errRowDamaged, r.arrival, err)
			}
			out = append(out, Stored{Arrival: r.arrival, Received: r.received, Digest: r.digest, Raw: raw, Envelope: e})
		}
		return nil
	})
	return out, err
}

func ofDevice(position []byte, tenant, device string) bool {
	t, rest, _ := bytes.Cut(position, []byte{0})
	d, _, _ := bytes.Cut(rest, []byte{0})
	return (tenant == "" || string(t) == tenant) && (device == "" || string(d) == device)
}

// gaps walks the positions of one epoch.
func (s *store) gaps(ctx context.Context, tenant, device string, epoch uint32) (Gaps, error) {
	g := Gaps{Missing: [][2]uint64{}}
	err := s.db.View(func(tx *bbolt.Tx) error {
		prefix := epochKey(tenant, device, epoch)
		if b := tx.Bucket(bucketEpochs).Get(prefix); len(b) == 8 {
			g.First = binary.BigEndian.Uint64(b)
		}
		expected := g.First
		c := tx.Bucket(bucketRows).Cursor()
		for k, _ := c.Seek(prefix); hasPrefix(k, prefix); k, _ = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			seq := binary.BigEndian.Uint64(k[len(prefix):])
			if expected != 0 && seq > expected {
				if len(g.Missing) == maxGaps {
					g.Truncated = true
					return nil
				}
				g.Missing = append(g.Missing, [2]uint64{expected, seq - 1})
			}
			g.Last, expected = seq, seq+1
		}
		return nil
	})
	return g, err
}

func hasPrefix(k, prefix []byte) bool { return k != nil && bytes.HasPrefix(k, prefix) }
