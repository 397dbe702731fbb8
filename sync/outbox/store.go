package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
)

// Files of the folder. The anchor stands in a file of its own, so that losing the
// store, or restoring an older copy of it, cannot bring a used sequence number
// back. A copy of the whole folder can: it is the anchor's too.
const (
	storeFile   = "outbox.db"
	newFile     = "outbox.db.new" // being made; removed at the next start
	epochFile   = "outbox.epoch"
	lockFile    = "outbox.lock"
	ballastFile = "outbox.ballast"
)

const ballastSize = 4 << 20

// lockTimeout bounds the wait for bbolt's own lock. The folder's lock is held
// already, so that only a foreign tool can be in the way.
const lockTimeout = 2 * time.Second

func (b *Box) path(name string) string { return filepath.Join(b.dir, name) }

// openStore brings the folder into a state to work with: it finishes what a
// power cut interrupted, creates what is missing and verifies what was not
// closed.
func (b *Box) openStore() error {
	if err := os.Remove(b.path(newFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a, err := b.readAnchor()
	if err != nil {
		return err
	}
	switch _, err := os.Stat(b.path(storeFile)); {
	case errors.Is(err, fs.ErrNotExist):
		// The anchor is written first: a cut between the two skips an epoch,
		// the other order could use one twice.
		a = anchor{epoch: a.epoch + 1, incarnation: newIncarnation()}
		if err := b.writeAnchor(a); err != nil {
			return err
		}
		if err := b.create(a); err != nil {
			return err
		}
		b.log.Info("outbox created", "epoch", a.epoch)
	case err != nil:
		return err
	}
	err = b.openAndBegin(a)
	if errors.Is(err, ErrDamaged) {
		if a, err = b.salvage(err, a); err == nil {
			err = b.openAndBegin(a)
		}
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(b.path(ballastFile)); errors.Is(err, fs.ErrNotExist) {
		b.ballastGone = b.makeBallast() != nil
	}
	return nil
}

func (b *Box) openAndBegin(a anchor) error {
	if err := b.openFile(); err != nil {
		return err
	}
	return b.begin(a)
}

// create makes an empty store. A bbolt file that lost power while it was
// initialised may never open again, so it is made under another name.
func (b *Box) create(a anchor) error {
	return b.replaceStore(func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error {
			if err := b.layout(tx); err != nil {
				return err
			}
			if err := storeIncarnation(tx, a.incarnation); err != nil {
				return err
			}
			return b.storeChain(tx, chain{epoch: a.epoch, next: 1})
		})
	})
}

// layout makes the buckets of a new store and what never changes in them.
func (b *Box) layout(tx *bolt.Tx) error {
	for _, name := range buckets() {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	meta, err := bucket(tx, bucketMeta)
	if err != nil {
		return err
	}
	if err := meta.Put([]byte(keySchema), []byte{storeSchema}); err != nil {
		return err
	}
	return setClean(tx, true)
}

// replaceStore puts a new file, filled by fill, in the place of the store.
func (b *Box) replaceStore(fill func(*bolt.DB) error) error {
	return b.replaceStoreAfter(fill, func() error { return nil })
}

// replaceStoreAfter is replaceStore with a last step that runs when the new
// file is complete and before it takes the store's name.
func (b *Box) replaceStoreAfter(fill func(*bolt.DB) error, before func() error) (err error) {
	path := b.path(newFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// What fits the quota here may need more pages there, and a file that
	// cannot be replaced cannot be used.
	db, err := b.openBolt(path, noLimit, bolt.Open)
	if err != nil {
		return err
	}
	err = guarded(func() error { return fill(db) })
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := syncPath(path); err != nil {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	if err := os.Rename(path, b.path(storeFile)); err != nil {
		return err
	}
	return syncPath(b.dir)
}

// noLimit lets a file grow as it needs.
const noLimit = 0

// opener is bolt.Open for a new file and boltpages.Open for one that exists.
type opener func(path string, mode os.FileMode, o *bolt.Options) (*bolt.DB, error)

// openBolt opens a bbolt file for writing, with every commit synced. A free
// list that is rebuilt at open, and not written with each commit, is as safe
// against power cuts and spares the flash.
func (b *Box) openBolt(path string, limit int64, open opener) (*bolt.DB, error) {
	db, err := open(path, 0o600, &bolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bolt.FreelistMapType,
		NoFreelistSync:  true,
		PageSize:        pageSize,
		MaxSize:         int(limit),
		InitialMmapSize: int(max(limit, b.o.Quota)),
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrInUse
	case errors.Is(err, boltpages.ErrDamaged):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	db.AllocSize = growth(b.o.Quota)
	return db, nil
}

// openFile opens the store after checking every page of it.
func (b *Box) openFile() error {
	info, err := os.Stat(b.path(storeFile))
	if err != nil {
		return err
	}
	limit := b.o.Quota
	if info.Size() > limit {
		// Settling must still find the pages that it needs to free others.
		limit = info.Size() + int64(growth(b.o.Quota)) + deletionSlack
	}
	db, err := b.openBolt(b.path(storeFile), limit, boltpages.Open)
	if err != nil {
		return err
	}
	b.db = db
	return nil
}

// begin reconciles the store with the anchor, verifies a store that was not
// closed, and marks it as in use.
func (b *Box) begin(reached anchor) error {
	var c chain
	clean, complete, incarnation := false, false, ""
	err := b.view(func(tx *bolt.Tx) (err error) {
		meta, err := bucket(tx, bucketMeta)
		if err != nil {
			return err
		}
		if v := meta.Get([]byte(keySchema)); !bytes.Equal(v, []byte{storeSchema}) {
			return fmt.Errorf("store of schema %v, want %d", v, storeSchema)
		}
		clean = bytes.Equal(meta.Get([]byte(keyClean)), []byte{1})
		incarnation = string(meta.Get([]byte(keyIncarnation)))
		if c, err = b.loadChain(tx); err != nil {
			return err
		}
		complete, err = everyRecordPlaced(tx)
		return err
	})
	if err != nil {
		return err
	}
	if clean && !complete {
		b.log.Error("outbox has records outside queue and quarantine, or entries without one")
		clean = false
	}
	if !clean {
		b.log.Warn("outbox was not closed in order, verifying it")
		if err := b.verifyStructure(); err != nil {
			return err
		}
	}
	fresh := anchor{epoch: c.epoch, incarnation: newIncarnation()}
	restored := c.epoch < reached.epoch || incarnation != reached.incarnation
	if restored {
		fresh.epoch = max(c.epoch, reached.epoch) + 1
		b.log.Error("outbox is an older copy, new epoch", "stored", c.epoch, "reached", reached.epoch)
	}
	if err := b.writeAnchor(fresh); err != nil {
		return err
	}
	return b.update(func(tx *bolt.Tx) error {
		if !clean {
			if err := b.repair(tx); err != nil {
				return err
			}
		}
		if restored {
			if err := b.beginEpoch(tx, fresh.epoch, c); err != nil {
				return err
			}
		}
		return errors.Join(storeIncarnation(tx, fresh.incarnation), setClean(tx, false))
	})
}

// beginEpoch continues a restored store under a new epoch.
func (b *Box) beginEpoch(tx *bolt.Tx, epoch uint32, before chain) error {
	held, err := heldSeqs(tx)
	if err != nil {
		return err
	}
	if err := b.storeChain(tx, chain{epoch: epoch, next: before.next}); err != nil {
		return err
	}
	return b.stateGap(tx, causeRestored, before, held)
}

func setClean(tx *bolt.Tx, clean bool) error {
	meta, err := bucket(tx, bucketMeta)
	if err != nil {
		return err
	}
	v := []byte{0}
	if clean {
		v[0] = 1
	}
	return meta.Put([]byte(keyClean), v)
}

// makeBallast sets disk space aside for the day when the file system is full.
func (b *Box) makeBallast() error {
	f, err := os.OpenFile(b.path(ballastFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, ballastSize)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(b.path(ballastFile)))
	}
	return nil
}

// syncPath flushes a file, or the names in a folder.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
