package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
)

// view runs fn in a reading transaction. It works while the disk refuses
// commits, as long as the file can be read.
func (b *Box) view(fn func(*bolt.Tx) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.db == nil {
		if b.fault != nil {
			return b.fault
		}
		return ErrClosed
	}
	return guarded(func() error { return b.db.View(fn) })
}

// write runs fn in a writing transaction of its own. Where the file system is
// full it gives up the ballast and tries once more: the calls that use write
// make room or keep the queue moving. Against the quota the ballast is no help.
func (b *Box) write(ctx context.Context, fn func(*bolt.Tx) error) error {
	if err := b.acquire(ctx); err != nil {
		return err
	}
	defer b.release()
	err := b.update(fn)
	if outOfSpace(err) && b.dropBallast() {
		err = b.update(fn)
	}
	if err == nil && b.ballastGone {
		b.ballastGone = b.makeBallast() != nil
	}
	return err
}

// update runs fn in a writing transaction. The caller holds the writer slot.
//
// A commit that fails for lack of quota leaves the file as it was. After any
// other failure the state of the file's pages is unknown, and a later fsync on
// the same descriptor would report success for data that the kernel has
// dropped: the box puts the file aside and uses a new one.
func (b *Box) update(fn func(*bolt.Tx) error) error {
	if err := b.mend(); err != nil {
		return err
	}
	b.mu.RLock()
	var inner error
	err := guarded(func() error {
		return b.db.Update(func(tx *bolt.Tx) error {
			inner = fn(tx)
			return inner
		})
	})
	b.mu.RUnlock()
	switch {
	case err == nil:
		b.commits.Add(1)
		return nil
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return fmt.Errorf("%w: quota of %d bytes", ErrFull, b.o.Quota)
	case inner != nil || errors.Is(err, ErrDamaged):
		return err
	}
	b.faults.Add(1)
	if outOfSpace(err) {
		b.fail(fmt.Errorf("%w: %w", ErrFull, err))
	} else {
		b.fail(fmt.Errorf("%w: %w", ErrDisk, err))
	}
	return b.fault
}

// fail stops commits until mend succeeds.
func (b *Box) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = err
	b.log.Error("outbox refuses records", "error", err)
}

// settleDisk mends the box before records are handed out: a record whose commit
// failed may be in the file, but its number is not its own before the file is
// safely written.
func (b *Box) settleDisk(ctx context.Context) error {
	b.mu.RLock()
	fault := b.fault
	b.mu.RUnlock()
	if fault == nil {
		return nil
	}
	if err := b.acquire(ctx); err != nil {
		return err
	}
	defer b.release()
	return b.mend()
}

// mend brings a box whose commit failed back to order, or returns why it
// cannot. The caller holds the writer slot.
func (b *Box) mend() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault == nil {
		return nil
	}
	if errors.Is(b.fault, ErrClosed) {
		return ErrClosed
	}
	// What Close could not do on a failing descriptor is of no account: the
	// file is read again from the start.
	_ = b.closeStore()
	if !errors.Is(b.fault, ErrFull) {
		if err := b.rewrite(); err != nil {
			b.readOnly()
			return fmt.Errorf("%w: %w", ErrDisk, err)
		}
	}
	if err := b.openFile(); err != nil {
		b.readOnly()
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	b.log.Info("outbox file replaced or reopened", "after", b.fault)
	b.fault = nil
	return nil
}

// rewrite copies what can be read into a new file, so that every page is
// written and synced through a fresh descriptor, and puts it in place.
func (b *Box) rewrite() error {
	src, err := openReadOnly(b.path(storeFile))
	if err != nil {
		return err
	}
	defer src.Close()
	return b.replaceStore(func(dst *bolt.DB) error {
		return bolt.Compact(dst, src, 1<<20)
	})
}

// Compact rewrites the store into a smaller file where that is worth the wear:
// more than half of the file is free pages, and what is in use is less than a
// quarter of the quota. It reports whether it did. All other calls wait
// meanwhile, so it belongs where the queue has just been drained.
func (b *Box) Compact(ctx context.Context) (bool, error) {
	if err := b.acquire(ctx); err != nil {
		return false, fmt.Errorf("outbox: compact: %w", err)
	}
	defer b.release()
	worth := false
	err := b.mend()
	if err == nil {
		err = b.view(func(tx *bolt.Tx) error {
			inUse := used(tx)
			worth = inUse < tx.Size()/2 && inUse < b.o.Quota/4 && tx.Size() > int64(growth(b.o.Quota))
			return nil
		})
	}
	if err == nil && worth {
		// The way through a fault is the way to a new file.
		b.mu.Lock()
		b.fault = errCompacting
		b.mu.Unlock()
		err = b.mend()
	}
	if err != nil {
		return false, fmt.Errorf("outbox: compact: %w", err)
	}
	return worth, nil
}

// errCompacting is the fault of a box whose file is being replaced in order.
var errCompacting = errors.New("being compacted")

// readOnly keeps the file open for reading while commits are refused.
func (b *Box) readOnly() {
	if b.db != nil {
		return
	}
	if db, err := openReadOnly(b.path(storeFile)); err == nil {
		b.db = db
	}
}

func openReadOnly(path string) (*bolt.DB, error) {
	return boltpages.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: lockTimeout, PageSize: pageSize})
}

// guarded runs fn and turns a panic into ErrDamaged. bbolt panics on pages that
// make no sense, and a page number beyond the file faults.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return fn()
}

// outOfSpace reports whether a write found no room, which leaves the pages of
// the last commit alone. The same errno from fsync, which carries no path, says
// that pages were dropped: then the file must be written afresh.
func outOfSpace(err error) bool {
	var write *fs.PathError
	if !errors.As(err, &write) {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// dropBallast frees the file that was kept for a full file system and reports
// whether there was one. Removing acknowledged records needs a few pages before
// it frees any.
func (b *Box) dropBallast() bool {
	if err := os.Remove(b.path(ballastFile)); err != nil {
		return false
	}
	b.ballastGone = true
	b.log.Warn("file system full, ballast released")
	return true
}
