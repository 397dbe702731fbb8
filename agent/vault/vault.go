package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
)

// A Sealer is an AEAD under the device's key. Open returns an error for a
// ciphertext that Seal did not make with the same aad.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(ciphertext, aad []byte) ([]byte, error)
}

// Options of a vault; the zero value is usable.
type Options struct {
	// Quota bounds the file in bytes; deletions may pass it by a sixteenth, at
	// least 1 MiB. 0 is DefaultQuota, and less than LeastQuota is an error.
	Quota int64
	// Log receives transitions; nil discards them.
	Log *slog.Logger
}

// Bounds of Options.Quota.
const (
	DefaultQuota = 1 << 30
	LeastQuota   = 2 << 20
)

// Files of the folder.
const (
	storeFile = "vault.db"
	newFile   = "vault.db.new" // being made; removed at the next start
	lockFile  = "vault.lock"
)

// Buckets. Verification ids and rids are random, and accounts are hashed, so
// that no key tells anything about a person.
const (
	bucketMeta          = "meta"
	bucketVerifications = "verifications" // verification id → sealed verification, as it is shown
	bucketPending       = "pending"       // be64 order of commit → sealed outcome
	bucketWaiting       = "waiting"       // verification id → be64 of its pending outcome
	bucketOutcomes      = "outcomes"      // rid → be64, for ever: a rid is used once
	bucketReferences    = "references"    // keyed hash of the account → sealed reference
)

func buckets() []string {
	return []string{
		bucketMeta, bucketVerifications, bucketPending, bucketWaiting, bucketOutcomes, bucketReferences,
	}
}

// Keys of bucketMeta.
const (
	keySchema  = "schema"
	keyDataKey = "data_key" // wrapped by the device's key
	keyClean   = "clean"    // 1 when the vault was closed
)

// schema is the version of the layout and of every sealed value.
const schema = 1

// A Vault is an open vault. It is safe for concurrent use.
type Vault struct {
	keys *keys
	lock *flock.Flock
	log  *slog.Logger

	path  string
	quota int64

	// mu lets one writer at a time. broken is the write error after which only
	// opening again helps.
	mu     sync.Mutex
	broken error
	// swap guards db: transactions hold it for reading, opening again for
	// writing. db is nil where opening again failed.
	swap sync.RWMutex
	db   *bolt.DB
}

// Open opens the vault in dir, or makes one where there is none. The folder must
// exist. The pages of a vault that was not closed are checked first. Errors to branch on are
// ErrInUse, ErrWrongKey and ErrDamaged.
func Open(dir string, device Sealer, o Options) (_ *Vault, err error) {
	if o.Quota == 0 {
		o.Quota = DefaultQuota
	}
	if o.Quota < LeastQuota {
		return nil, fmt.Errorf("open vault: quota of %d bytes, at least %d are needed", o.Quota, LeastQuota)
	}
	v := &Vault{log: o.Log, quota: o.Quota, lock: flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	switch locked, err := v.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("open vault: %w", err)
	case !locked:
		return nil, fmt.Errorf("open vault %s: %w", dir, ErrInUse)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open vault %s: %w", dir, errors.Join(err, v.release()))
		}
	}()
	if err := v.createIfMissing(dir, device); err != nil {
		return nil, err
	}
	v.path = filepath.Join(dir, storeFile)
	if err := v.openFile(v.path); err != nil {
		return nil, err
	}
	return v, v.begin(device)
}

// Close marks the vault as closed and gives the folder free.
func (v *Vault) Close() error {
	err := v.update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyClean), []byte{1})
	})
	if err := errors.Join(err, v.release()); err != nil {
		return fmt.Errorf("close vault: %w", err)
	}
	return nil
}

// release closes the file and the lock.
func (v *Vault) release() error {
	var err error
	if v.db != nil {
		err = v.db.Close()
	}
	return errors.Join(err, v.lock.Close())
}

// createIfMissing makes an empty vault. A bbolt file that lost power while it was
// initialised may never open again, so it is made under another name, synced,
// and renamed.
func (v *Vault) createIfMissing(dir string, device Sealer) error {
	path, temporary := filepath.Join(dir, storeFile), filepath.Join(dir, newFile)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	wrapped, err := newDataKey(device)
	if err != nil {
		return err
	}
	db, err := v.openBolt(temporary, bolt.Open)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(bucketMeta))
		return errors.Join(
			meta.Put([]byte(keySchema), []byte{schema}),
			meta.Put([]byte(keyDataKey), wrapped),
			meta.Put([]byte(keyClean), []byte{1}),
		)
	})
	if err := errors.Join(err, db.Sync(), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	v.log.Info("vault created")
	return syncFolder(dir)
}

// syncFolder makes a rename in the folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// opener is bolt.Open for a new file and boltpages.Open for one that exists.
type opener func(path string, mode os.FileMode, o *bolt.Options) (*bolt.DB, error)

// openBolt opens a file with every fsync. The list of free pages is rebuilt at
// start instead of being written whole with each commit, which is as safe.
func (v *Vault) openBolt(path string, open opener) (*bolt.DB, error) {
	limit := int(v.quota + overshoot(v.quota))
	db, err := open(path, 0o600, &bolt.Options{
		Timeout:         2 * time.Second,
		FreelistType:    bolt.FreelistMapType,
		NoFreelistSync:  true,
		PageSize:        pageSize,
		MaxSize:         limit,
		InitialMmapSize: limit,
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = growth(v.quota)
	return db, nil
}

// openFile opens the vault after checking every page of it.
func (v *Vault) openFile(path string) error {
	db, err := v.openBolt(path, boltpages.Open)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrInUse // a foreign tool holds bbolt's own lock
	case errors.Is(err, boltpages.ErrDamaged):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return err
	}
	v.db = db
	return nil
}

// begin unwraps the data key, checks a vault that was not closed, and marks it
// as in use. It writes nothing before the key has proved right.
func (v *Vault) begin(device Sealer) error {
	clean := false
	err := v.view(func(tx *bolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		if meta == nil {
			return fmt.Errorf("%w: no bucket %s", ErrDamaged, bucketMeta)
		}
		if found := meta.Get([]byte(keySchema)); !bytes.Equal(found, []byte{schema}) {
			return fmt.Errorf("vault of schema %v, this program reads %d", found, schema)
		}
		clean = bytes.Equal(meta.Get([]byte(keyClean)), []byte{1})
		var err error
		v.keys, err = unwrap(device, meta.Get([]byte(keyDataKey)))
		return err
	})
	if err != nil {
		return err
	}
	if !clean {
		v.log.Warn("vault was not closed, checking it")
		if err := v.checkStructure(); err != nil {
			return err
		}
	}
	return v.update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyClean), []byte{0})
	})
}
