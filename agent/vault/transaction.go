package vault

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

const pageSize = 4 << 10

// slack is room within the quota that insertions leave free, and overshoot is how
// far a deletion may let the file pass the quota. Both exist because bbolt copies
// the pages that it changes, in one piece each, before it frees them: a file
// filled to its last page could never be emptied.
func slack(quota int64) int64     { return max(quota/16, 512<<10) }
func overshoot(quota int64) int64 { return max(quota/16, 1<<20) }

// growth is the step in which the file grows. bbolt refuses a page when file
// and step together pass its limit, so that the step is lost to the quota.
func growth(quota int64) int { return int(min(quota/64, 16<<20)) }

// room returns the bytes that a new entry may still take.
func (v *Vault) room(tx *bolt.Tx) int64 {
	s := v.db.Stats()
	used := tx.Size() - int64(s.FreePageN+s.PendingPageN)*pageSize
	return v.quota - int64(growth(v.quota)) - slack(v.quota) - used
}

// put stores a value that needs room; ErrFull where there is none. A value is
// counted with the pages on the way to it and the space that pages waste.
func (v *Vault) put(tx *bolt.Tx, bucket string, key, value []byte) error {
	if int64(len(value))*2+8*pageSize > v.room(tx) {
		return ErrFull
	}
	return tx.Bucket([]byte(bucket)).Put(key, value)
}

// view runs fn in a read transaction. Nothing that fn gets from bbolt may
// outlive it.
func (v *Vault) view(fn func(*bolt.Tx) error) error {
	v.swap.RLock()
	defer v.swap.RUnlock()
	if v.db == nil {
		return ErrDamaged // it could not be opened again
	}
	return guarded(func() error { return v.db.View(fn) })
}

// insert runs fn, which stores something new, in one durable transaction that
// keeps the file within the quota.
func (v *Vault) insert(fn func(*bolt.Tx) error) error {
	return v.write(v.quota, fn)
}

// update runs fn, which frees at least as much as it stores, in one durable
// transaction.
func (v *Vault) update(fn func(*bolt.Tx) error) error {
	return v.write(v.quota+overshoot(v.quota), fn)
}

// write runs fn with the file bounded by limit. After a write error other than a
// full disk nothing more is written: what the disk holds is known only after
// opening again.
func (v *Vault) write(limit int64, fn func(*bolt.Tx) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken != nil {
		return v.broken
	}
	v.db.MaxSize = int(limit) // read by the one writer only
	var refused error         // by fn, before anything was written
	err := guarded(func() error {
		return v.db.Update(func(tx *bolt.Tx) error {
			refused = fn(tx)
			return refused
		})
	})
	switch {
	case err == nil:
		return nil
	case outOfSpace(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case refused != nil && errors.Is(err, refused):
		return err
	}
	v.broken = fmt.Errorf("%w: a write was not completed: %w", ErrDamaged, err)
	v.log.Error("vault cannot write", "error", err)
	return v.broken
}

// ended reports whether the caller gave up before anything was done.
func ended(ctx context.Context, operation string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

// Probe reports whether an outcome of the largest size can be stored now, by
// storing one and taking it back; ErrFull where it cannot. After a write error it
// first opens and checks the file again.
func (v *Vault) Probe(ctx context.Context) error {
	if err := ended(ctx, "probe"); err != nil {
		return err
	}
	if err := v.openAgain(); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	key, filler := []byte("probe"), make([]byte, MaxPayload)
	err := v.insert(func(tx *bolt.Tx) error { return v.put(tx, bucketMeta, key, filler) })
	if err == nil {
		err = v.update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucketMeta)).Delete(key) })
	}
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}

// openAgain opens the file anew after a write error, so that what is believed is
// what the disk holds.
func (v *Vault) openAgain() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken == nil {
		return nil
	}
	v.swap.Lock()
	defer v.swap.Unlock()
	if v.db != nil {
		// What it says of a file that cannot be written does not matter.
		_ = guarded(v.db.Close)
		v.db = nil
	}
	if err := v.openFile(v.path); err != nil {
		return err
	}
	c := checker{keys: v.keys}
	err := guarded(func() error {
		return v.db.View(func(tx *bolt.Tx) error {
			c.structure(tx)
			return nil
		})
	})
	if err := errors.Join(append(c.faults, err)...); err != nil {
		return err
	}
	v.broken = nil
	v.log.Info("vault opened again")
	return nil
}
