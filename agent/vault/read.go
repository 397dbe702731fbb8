package vault

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// MaxList bounds one page of List.
const MaxList = 200

// Verification returns a verification as it is shown: while its latest outcome
// is pending, in the state before. One that has no such state yet is
// ErrNotFound.
func (v *Vault) Verification(ctx context.Context, id string) (verify.Verification, error) {
	var found verify.Verification
	if err := ended(ctx, "verification"); err != nil {
		return found, err
	}
	var sealed []byte
	err := v.view(func(tx *bolt.Tx) error {
		sealed = bytes.Clone(tx.Bucket([]byte(bucketVerifications)).Get([]byte(id)))
		return nil
	})
	if err == nil && sealed == nil {
		err = ErrNotFound
	}
	if err == nil {
		err = v.keys.open(bucketVerifications, []byte(id), sealed, &found)
	}
	if err != nil {
		return verify.Verification{}, fmt.Errorf("verification %q: %w", id, err)
	}
	return found, nil
}

// List returns up to limit verifications as they are shown, by descending id,
// which for UUIDv7 is newest first as far as the clock was right. It starts
// below the id before, or at the top where that is empty. The returned cursor is
// the before of the next page, or empty at the end.
func (v *Vault) List(ctx context.Context, before string, limit int) ([]verify.Verification, string, error) {
	if err := ended(ctx, "list"); err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > MaxList {
		return nil, "", fmt.Errorf("list: limit %d, 1 to %d are allowed", limit, MaxList)
	}
	type entry struct{ id, sealed []byte }
	var page []entry
	more := false
	err := v.view(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(bucketVerifications)).Cursor()
		key, value := c.Last()
		if before != "" {
			if key, value = c.Seek([]byte(before)); key == nil {
				key, value = c.Last()
			}
			for key != nil && bytes.Compare(key, []byte(before)) >= 0 {
				key, value = c.Prev()
			}
		}
		for ; key != nil && len(page) < limit; key, value = c.Prev() {
			page = append(page, entry{bytes.Clone(key), bytes.Clone(value)})
		}
		more = key != nil
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list: %w", err)
	}
	list := make([]verify.Verification, len(page))
	for i, e := range page {
		if err := v.keys.open(bucketVerifications, e.id, e.sealed, &list[i]); err != nil {
			return nil, "", fmt.Errorf("list: verification %q: %w", e.id, err)
		}
	}
	if !more {
		return list, "", nil
	}
	return list, string(page[len(page)-1].id), nil
}
