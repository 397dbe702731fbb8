package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
)

// Files of the folder. The epoch stands in a file of its own, so that losing or
// restoring the store cannot bring a used sequence number back.
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
	epoch, err := b.readEpoch()
	if err != nil {
		return err
	}
	switch _, err := os.Stat(b.path(storeFile)); {
	case errors.Is(err, fs.ErrNotExist):
		// The epoch is written first: a cut between the two skips an epoch,
		// the other order could use one twice.
		epoch++
		if err := b.writeEpoch(epoch); err != nil {
			return err
		}
		if err := b.create(epoch); err != nil {
			return err
		}
		b.log.Info("outbox created", "epoch", epoch)
	case err != nil:
		return err
	}
	err = b.openAndBegin(epoch)
	if errors.Is(err, ErrDamaged) {
		if epoch, err = b.salvage(err, epoch); err == nil {
			err = b.openAndBegin(epoch)
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

func (b *Box) openAndBegin(epoch uint32) error {
	if err := b.openFile(); err != nil {
		return err
	}
	return b.begin(epoch)
}

// create makes an empty store. A bbolt file that lost power while it was
// initialised may never open again, so it is made under another name.
func (b *Box) create(epoch uint32) error {
	return b.replaceStore(func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error {
			if err := b.layout(tx); err != nil {
				return err
			}
			return b.storeChain(tx, chain{epoch: epoch, next: 1})
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
	db, err := b.openBolt(path, bolt.Open)
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

// opener is bolt.Open for a new file and boltpages.Open for one that exists.
type opener func(path string, mode os.FileMode, o *bolt.Options) (*bolt.DB, error)

// openBolt opens a bbolt file for writing, with every commit synced. A free
// list that is rebuilt at open, and not written with each commit, is as safe
// against power cuts and spares the flash.
func (b *Box) openBolt(path string, open opener) (*bolt.DB, error) {
	db, err := open(path, 0o600, &bolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bolt.FreelistMapType,
		NoFreelistSync:  true,
		PageSize:        pageSize,
		MaxSize:         int(b.o.Quota),
		InitialMmapSize: int(b.o.Quota),
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
	db, err := b.openBolt(b.path(storeFile), boltpages.Open)
	if err != nil {
		return err
	}
	b.db = db
	return nil
}

// begin reconciles the store with the epoch file, verifies a store that was not
// closed, and marks it as in use.
func (b *Box) begin(epoch uint32) error {
	var c chain
	clean := false
	err := b.view(func(tx *bolt.Tx) (err error) {
		meta, err := bucket(tx, bucketMeta)
		if err != nil {
			return err
		}
		if v := meta.Get([]byte(keySchema)); !bytes.Equal(v, []byte{storeSchema}) {
			return fmt.Errorf("store of schema %v, want %d", v, storeSchema)
		}
		clean = bytes.Equal(meta.Get([]byte(keyClean)), []byte{1})
		c, err = b.loadChain(tx)
		return err
	})
	if err != nil {
		return err
	}
	if !clean {
		b.log.Warn("outbox was not closed, verifying it")
		if err := b.verifyStructure(); err != nil {
			return err
		}
	}
	next := c
	if c.epoch < epoch {
		// An older copy of the store was put back: numbers of its epoch may
		// have been given to records that it does not know.
		next = chain{epoch: epoch + 1, next: c.next}
		b.log.Error("outbox is an older copy, new epoch", "stored", c.epoch, "reached", epoch)
	}
	if next.epoch != epoch {
		if err := b.writeEpoch(next.epoch); err != nil {
			return err
		}
	}
	return b.update(func(tx *bolt.Tx) error {
		if !clean {
			if err := b.repair(tx); err != nil {
				return err
			}
		}
		if next != c {
			if err := b.storeChain(tx, next); err != nil {
				return err
			}
		}
		return setClean(tx, false)
	})
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

// readEpoch returns the epoch that this folder has reached, 0 for a new one.
func (b *Box) readEpoch() (uint32, error) {
	raw, err := os.ReadFile(b.path(epochFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(string(raw), "\n"), 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: %s holds no epoch", ErrDamaged, epochFile)
	}
	return uint32(n), nil
}

func (b *Box) writeEpoch(epoch uint32) error {
	raw := strconv.AppendUint(nil, uint64(epoch), 10)
	if err := renameio.WriteFile(b.path(epochFile), append(raw, '\n'), 0o600, renameio.WithTempDir(b.dir)); err != nil {
		return err
	}
	return syncPath(b.dir)
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
