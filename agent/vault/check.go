package vault

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// maxFaults bounds how many faults Check reports.
const maxFaults = 20

// Check reads everything: the page structure, that every value opens, and that
// pending outcomes and their indexes agree. It returns the faults, each wrapping
// ErrDamaged.
func (v *Vault) Check() error {
	c := checker{keys: v.keys}
	err := v.view(func(tx *bolt.Tx) error {
		if c.structure(tx); c.faults != nil {
			return nil // what follows would read broken pages
		}
		for _, check := range []func(*bolt.Tx) error{c.verifications, c.outcomes, c.references} {
			if err := check(tx); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(append(c.faults, err)...)
}

// checkStructure is the part of Check without which nothing can be trusted. A
// single value that does not open is reported where it is read, and must not
// keep the others from being used.
func (v *Vault) checkStructure() error {
	c := checker{keys: v.keys}
	err := v.view(func(tx *bolt.Tx) error {
		c.structure(tx)
		return nil
	})
	return errors.Join(append(c.faults, err)...)
}

// checker collects faults over one read transaction.
type checker struct {
	keys   *keys
	faults []error
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...)))
	}
}

func (c *checker) structure(tx *bolt.Tx) {
	for err := range tx.Check() {
		c.fault("%v", err)
	}
	if c.faults != nil {
		return
	}
	for _, name := range buckets() {
		if tx.Bucket([]byte(name)) == nil {
			c.fault("no bucket %s", name)
		}
	}
}

func (c *checker) verifications(tx *bolt.Tx) error {
	return tx.Bucket([]byte(bucketVerifications)).ForEach(func(key, value []byte) error {
		var found verify.Verification
		if err := c.keys.open(bucketVerifications, key, value, &found); err != nil {
			c.fault("verification %q: %v", key, err)
		} else if found.ID != string(key) {
			c.fault("verification %q is stored under %q", found.ID, key)
		}
		return nil
	})
}

// outcomes checks that every pending outcome is found by its rid and by its
// verification, and that nothing waits for an outcome that is not there.
func (c *checker) outcomes(tx *bolt.Tx) error {
	pending, waiting := tx.Bucket([]byte(bucketPending)), tx.Bucket([]byte(bucketWaiting))
	err := pending.ForEach(func(place, value []byte) error {
		var o outcome
		if err := c.keys.open(bucketPending, place, value, &o); err != nil {
			c.fault("outcome %x: %v", place, err)
			return nil
		}
		if !bytes.Equal(tx.Bucket([]byte(bucketOutcomes)).Get([]byte(o.RID)), place) {
			c.fault("rid %q does not lead to its outcome", o.RID)
		}
		if id := o.id(); id != nil && !bytes.Equal(waiting.Get(id), place) {
			c.fault("verification %q does not wait for its outcome", id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return waiting.ForEach(func(id, place []byte) error {
		if pending.Get(place) == nil {
			c.fault("verification %q waits for an outcome that is not there", id)
		}
		return nil
	})
}

func (c *checker) references(tx *bolt.Tx) error {
	return tx.Bucket([]byte(bucketReferences)).ForEach(func(key, value []byte) error {
		var r reference
		if err := c.keys.open(bucketReferences, key, value, &r); err != nil {
			c.fault("reference %x: %v", key[:min(4, len(key))], err)
		}
		return nil
	})
}
