package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// An Outcome is a payload on its way to the outbox.
type Outcome struct {
	RID          string // the outcome's own UUIDv7
	Verification string // id; empty where the outcome is of no verification
	Payload      []byte // of the record, unsigned
}

// MaxPayload bounds a payload in bytes.
const MaxPayload = 16 << 10

// outcome is the sealed value of bucketPending.
type outcome struct {
	RID string `json:"rid"`
	// Verification is the state to show when the outcome is done; nil where
	// the outcome is of no verification.
	Verification *verify.Verification `json:"verification,omitempty"`
	Payload      []byte               `json:"payload"`
}

// id is the key of the outcome's verification; empty where it has none.
func (o outcome) id() []byte {
	if o.Verification == nil {
		return nil
	}
	return []byte(o.Verification.ID)
}

// Save stores a verification that has no outcome to send, such as one that was
// started or submitted. It is shown at once. While an outcome of the same
// verification is pending it returns ErrPending.
func (v *Vault) Save(ctx context.Context, verification verify.Verification) error {
	if err := ended(ctx, "save"); err != nil {
		return err
	}
	id, err := keyOf("verification id", verification.ID)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	sealed, err := v.keys.seal(bucketVerifications, id, verification)
	if err != nil {
		return err
	}
	err = v.insert(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte(bucketWaiting)).Get(id) != nil {
			return ErrPending
		}
		return v.put(tx, bucketVerifications, id, sealed)
	})
	if err != nil {
		return fmt.Errorf("save verification %s: %w", verification.ID, err)
	}
	return nil
}

// Commit stores the outcome of a verification, its history and the unsigned
// payload of its record in one transaction, under the outcome's own rid. When it
// returns nil the outcome survives a power cut, and Verification still shows the
// state before it until MarkDone. Committing the same again changes nothing;
// another outcome under a used rid is ErrConflict, a second outcome of the
// verification while one is pending ErrPending.
func (v *Vault) Commit(ctx context.Context, rid string, verification verify.Verification, payload []byte) error {
	if err := ended(ctx, "commit"); err != nil {
		return err
	}
	if _, err := keyOf("verification id", verification.ID); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	o := outcome{RID: rid, Verification: &verification, Payload: payload}
	if err := v.insert(func(tx *bolt.Tx) error { return v.await(tx, o) }); err != nil {
		return fmt.Errorf("commit %s: %w", rid, err)
	}
	return nil
}

// await stores an outcome for the outbox to fetch.
func (v *Vault) await(tx *bolt.Tx, o outcome) error {
	ridKey, err := keyOf("rid", o.RID)
	if err != nil {
		return err
	}
	if len(o.Payload) == 0 || len(o.Payload) > MaxPayload {
		return fmt.Errorf("payload of %d bytes, 1 to %d are allowed", len(o.Payload), MaxPayload)
	}
	outcomes, waiting := tx.Bucket([]byte(bucketOutcomes)), tx.Bucket([]byte(bucketWaiting))
	if place := outcomes.Get(ridKey); place != nil {
		return v.same(tx, place, o)
	}
	id := o.id()
	if id != nil && waiting.Get(id) != nil {
		return ErrPending
	}
	n, err := tx.Bucket([]byte(bucketPending)).NextSequence()
	if err != nil {
		return err
	}
	place := binary.BigEndian.AppendUint64(nil, n)
	sealed, err := v.keys.seal(bucketPending, place, o)
	if err != nil {
		return err
	}
	if id != nil {
		err = waiting.Put(id, place)
	}
	return errors.Join(err, v.put(tx, bucketPending, place, sealed), outcomes.Put(ridKey, place))
}

// same reports whether the outcome at place is this one. One that is done has
// been judged by the outbox already, which is idempotent by rid.
func (v *Vault) same(tx *bolt.Tx, place []byte, o outcome) error {
	sealed := tx.Bucket([]byte(bucketPending)).Get(place)
	if sealed == nil {
		return nil
	}
	var known outcome
	if err := v.keys.open(bucketPending, place, sealed, &known); err != nil {
		return err
	}
	if !bytes.Equal(known.id(), o.id()) || !bytes.Equal(known.Payload, o.Payload) {
		return ErrConflict
	}
	return nil
}

// Pending iterates over the outcomes that are not done, in the order of their
// commits. It holds no transaction while the caller works, and an outcome that
// the caller marks done meanwhile does not disturb it. An outcome that is
// damaged is reported, and the iteration goes on behind it.
func (v *Vault) Pending(ctx context.Context) iter.Seq2[Outcome, error] {
	return func(yield func(Outcome, error) bool) {
		var after []byte
		for {
			if err := ended(ctx, "pending"); err != nil {
				yield(Outcome{}, err)
				return
			}
			place, sealed, err := v.next(after)
			if err != nil {
				yield(Outcome{}, fmt.Errorf("pending: %w", err))
				return
			}
			if place == nil {
				return
			}
			after = place
			var o outcome
			if err := v.keys.open(bucketPending, place, sealed, &o); err != nil {
				if !yield(Outcome{}, fmt.Errorf("pending: %w", err)) {
					return
				}
				continue
			}
			if !yield(Outcome{RID: o.RID, Verification: string(o.id()), Payload: o.Payload}, nil) {
				return
			}
		}
	}
}

// next copies the first pending outcome behind the place after; nil is the end.
func (v *Vault) next(after []byte) (place, sealed []byte, err error) {
	err = v.view(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(bucketPending)).Cursor()
		key, value := c.Seek(after)
		if key != nil && bytes.Equal(key, after) {
			key, value = c.Next()
		}
		place, sealed = bytes.Clone(key), bytes.Clone(value)
		return nil
	})
	return place, sealed, err
}

// MarkDone makes a committed outcome the one that is shown and drops its
// payload, once the outbox holds the signed record. Marking twice changes
// nothing; an unknown rid is ErrNotFound.
func (v *Vault) MarkDone(ctx context.Context, rid string) error {
	if err := ended(ctx, "mark done"); err != nil {
		return err
	}
	err := v.update(func(tx *bolt.Tx) error {
		place := bytes.Clone(tx.Bucket([]byte(bucketOutcomes)).Get([]byte(rid)))
		if place == nil {
			return ErrNotFound
		}
		pending := tx.Bucket([]byte(bucketPending))
		value := pending.Get(place)
		if value == nil {
			return nil
		}
		var o outcome
		if err := v.keys.open(bucketPending, place, value, &o); err != nil {
			return err
		}
		id := o.id()
		if id == nil {
			return pending.Delete(place)
		}
		sealed, err := v.keys.seal(bucketVerifications, id, o.Verification)
		if err != nil {
			return err
		}
		return errors.Join(
			tx.Bucket([]byte(bucketVerifications)).Put(id, sealed),
			tx.Bucket([]byte(bucketWaiting)).Delete(id),
			pending.Delete(place),
		)
	})
	if err != nil {
		return fmt.Errorf("mark done %s: %w", rid, err)
	}
	return nil
}

// keyOf refuses what bbolt cannot hold as a key or what nobody needs as an id.
func keyOf(what, id string) ([]byte, error) {
	if id == "" || len(id) > 64 {
		return nil, fmt.Errorf("%s of %d bytes, 1 to 64 are allowed", what, len(id))
	}
	return []byte(id), nil
}
