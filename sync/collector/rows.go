package collector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
	"go.etcd.io/bbolt"
)

// A row is what one position holds:
//
//	version 1 | alias | arrival, 8 bytes | received, Unix ms, 8 bytes | SHA-256 | signed bytes
//
// An alias is a position whose record repeats the rid of an earlier one: it
// fills the position, but it is not another outcome and has no arrival.
type row struct {
	alias    bool
	arrival  uint64
	received time.Time
	digest   [32]byte
	raw      []byte
}

const (
	rowVersion = 1
	rowHeader  = 1 + 1 + 8 + 8 + 32
)

var errRowDamaged = fmt.Errorf("%w: stored row", ErrDamaged)

func (r row) encode() []byte {
	b := make([]byte, 0, rowHeader+len(r.raw))
	b = append(b, rowVersion, 0)
	if r.alias {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, r.arrival)
	b = append(b, unixMilli(r.received)...)
	b = append(b, r.digest[:]...)
	return append(b, r.raw...)
}

// decodeRow returns a row whose bytes are those of the transaction.
func decodeRow(b []byte) (row, error) {
	if len(b) < rowHeader || b[0] != rowVersion {
		return row{}, errRowDamaged
	}
	return row{
		alias:    b[1] == 1,
		arrival:  binary.BigEndian.Uint64(b[2:]),
		received: time.UnixMilli(int64(binary.BigEndian.Uint64(b[10:]))).UTC(),
		digest:   [32]byte(b[18:50]),
		raw:      b[rowHeader:],
	}, nil
}

// arriving is a record whose signature holds, on its way into the store.
type arriving struct {
	envelope record.Envelope
	digest   [32]byte
	raw      []byte
}

// codeRIDReused rejects another outcome under the rid of an earlier one.
const codeRIDReused = "rid_reused"

// put stores one record unless its position or its rid is taken, and says which.
// It holds the rules of "one row": the same bytes again are a duplicate; so is
// the same outcome, which is rid, kind and body, at another position, which is
// how a restored device re-sends it. Other bytes at a taken position are an
// equivocation, and another outcome under a taken rid is rejected likewise: both
// are kept as evidence.
func put(tx *bbolt.Tx, a arriving, now time.Time) (record.AckStatus, string, error) {
	e := a.envelope
	rows, rids := tx.Bucket(bucketRows), tx.Bucket(bucketRIDs)
	position := positionKey(e.Tenant, e.Device, e.Epoch, e.Seq)
	if b := rows.Get(position); b != nil {
		known, err := decodeRow(b)
		if err != nil {
			return "", "", err
		}
		if known.digest == a.digest {
			return record.Duplicate, "", nil
		}
		return record.Rejected, record.CodeEquivocation, keepEvidence(tx, a, now)
	}
	rid := append(devicePrefix(e.Tenant, e.Device), e.RID...)
	first := rids.Get(rid)
	if first != nil {
		same, err := sameOutcome(rows.Get(append(devicePrefix(e.Tenant, e.Device), first...)), e)
		if err != nil {
			return "", "", err
		}
		if !same {
			return record.Rejected, codeRIDReused, errors.Join(openCase(tx, a, codeRIDReused, now), keepEvidence(tx, a, now))
		}
	}
	if err := noteChain(tx, a, now); err != nil {
		return "", "", err
	}
	r := row{received: now, digest: a.digest, raw: a.raw}
	if first != nil {
		r.alias = true
		return record.Duplicate, "", rows.Put(position, r.encode())
	}
	arrivals := tx.Bucket(bucketArrivals)
	arrival, err := arrivals.NextSequence()
	if err != nil {
		return "", "", err
	}
	r.arrival = arrival
	return record.Stored, "", errors.Join(
		rows.Put(position, r.encode()),
		rids.Put(rid, position[len(position)-12:]),
		arrivals.Put(binary.BigEndian.AppendUint64(nil, arrival), position),
	)
}

// sameOutcome reports whether a stored row has the kind and the body of e, byte
// for byte.
func sameOutcome(stored []byte, e record.Envelope) (bool, error) {
	known, err := decodeRow(stored)
	if err != nil {
		return false, err
	}
	before, err := record.Peek(known.raw)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errRowDamaged, err)
	}
	return before.Kind == e.Kind && bytes.Equal(before.Body, e.Body), nil
}

// noteChain remembers where an epoch begins, and opens a case where the record
// does not name its stored predecessor. A broken chain is a matter for people,
// not a reason to refuse a signed record.
func noteChain(tx *bbolt.Tx, a arriving, now time.Time) error {
	e := a.envelope
	if e.Prev == "" {
		b, key := tx.Bucket(bucketEpochs), epochKey(e.Tenant, e.Device, e.Epoch)
		if b.Get(key) != nil {
			return openCase(tx, a, "second_beginning", now)
		}
		return b.Put(key, binary.BigEndian.AppendUint64(nil, e.Seq))
	}
	before := tx.Bucket(bucketRows).Get(positionKey(e.Tenant, e.Device, e.Epoch, e.Seq-1))
	if before == nil {
		return nil
	}
	predecessor, err := decodeRow(before)
	if err != nil {
		return err
	}
	if record.FormatDigest(predecessor.digest) != e.Prev {
		return openCase(tx, a, "chain_break", now)
	}
	return nil
}

func openCase(tx *bbolt.Tx, a arriving, what string, now time.Time) error {
	e := a.envelope
	key := positionKey(e.Tenant, e.Device, e.Epoch, e.Seq)
	return tx.Bucket(bucketCases).Put(key, append(unixMilli(now), what...))
}

// maxEvidence bounds the contradicting records that are kept of one device: a
// stolen key must not fill the disk.
const maxEvidence = 256

func keepEvidence(tx *bbolt.Tx, a arriving, now time.Time) error {
	e := a.envelope
	b := tx.Bucket(bucketEvidence)
	key := append(positionKey(e.Tenant, e.Device, e.Epoch, e.Seq), a.digest[:]...)
	if b.Get(key) != nil || countPrefix(b, devicePrefix(e.Tenant, e.Device), maxEvidence) >= maxEvidence {
		return nil
	}
	return b.Put(key, append(unixMilli(now), a.raw...))
}

// countPrefix counts the keys that begin with prefix, up to most.
func countPrefix(b *bbolt.Bucket, prefix []byte, most int) int {
	n := 0
	c := b.Cursor()
	for k, _ := c.Seek(prefix); k != nil && n < most && hasPrefix(k, prefix); k, _ = c.Next() {
		n++
	}
	return n
}
