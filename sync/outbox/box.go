package outbox

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"
	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

// DefaultQuota bounds the store's file: 1 GiB is 90 days of 600 records a day
// several times over.
const DefaultQuota = 1 << 30

// MinQuota is the least that leaves room for a record of record.MaxSize and for
// the deletions that make room again.
const MinQuota = 4 << 20

var (
	// ErrFull means that the quota or the file system is exhausted. Nothing was
	// stored. Acknowledged records still go, and Put works again after that.
	ErrFull = errors.New("outbox is full")
	// ErrInUse means that another process holds the folder.
	ErrInUse = errors.New("outbox is in use by another process")
	// ErrConflict means that the rid is taken by another kind or body.
	ErrConflict = errors.New("record id is taken by another record")
	// ErrDamaged marks stored bytes that are not what was written.
	ErrDamaged = errors.New("outbox is damaged")
	// ErrDisk means that the disk refused a commit. The box accepts nothing
	// until it could write its file afresh and verify it, which each call tries.
	ErrDisk = errors.New("outbox cannot write to its disk")
	// ErrNotFound means that no such record is stored.
	ErrNotFound = errors.New("no such record in the outbox")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("outbox is closed")
)

// A Sealer encrypts and authenticates values at rest. aad is bound to the
// ciphertext and not stored in it.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(ciphertext, aad []byte) ([]byte, error)
}

// Options configures Open. Tenant, Device, Signer and Sealer are required.
type Options struct {
	Tenant string
	Device string
	Signer crypto.Signer // Ed25519
	Sealer Sealer
	// Quota bounds the file in bytes; 0 is DefaultQuota.
	Quota int64
	// Logger gets transitions: opened unclean, full, disk out of order and
	// back, alarms. Nil discards.
	Logger *slog.Logger
}

// Box is an open outbox, safe for concurrent use. One process has one Box per
// folder.
type Box struct {
	dir     string
	o       Options
	log     *slog.Logger
	lock    *flock.Flock
	arrived chan struct{}

	// writer is the one slot for writing transactions. It is a channel, so
	// that waiting for it ends with the context.
	writer chan struct{}
	queue  queue

	// mu guards db and fault; transactions run under the read lock, the file
	// is swapped under the write lock.
	mu    sync.RWMutex
	db    *bolt.DB
	fault error // the commit that failed; nil when in order

	ballastGone bool // under writer
	full        atomic.Bool
	commits     atomic.Uint64
	faults      atomic.Uint64
	alarms      atomic.Uint64
}

// Open opens the outbox in dir and creates both where they are missing. It
// fails with ErrInUse at once where another process holds dir. A start after
// anything but Close verifies the file and the chain first.
func Open(ctx context.Context, dir string, o Options) (*Box, error) {
	b, err := open(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("open outbox %s: %w", dir, err)
	}
	return b, nil
}

func open(ctx context.Context, dir string, o Options) (b *Box, err error) {
	if o.Signer == nil || o.Sealer == nil {
		return nil, errors.New("options lack a signer or a sealer")
	}
	if o.Quota == 0 {
		o.Quota = DefaultQuota
	}
	if o.Quota < MinQuota {
		return nil, fmt.Errorf("quota of %d bytes, at least %d", o.Quota, int64(MinQuota))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, ErrInUse
	}
	b = &Box{
		dir:     dir,
		o:       o,
		log:     o.Logger,
		lock:    lock,
		arrived: make(chan struct{}, 1),
		writer:  make(chan struct{}, 1),
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if err := b.openStore(); err != nil {
		return nil, errors.Join(err, b.closeStore(), lock.Close())
	}
	return b, nil
}

// Close marks the file as cleanly closed and releases the folder. Calls in
// progress end first.
func (b *Box) Close() error {
	b.writer <- struct{}{}
	defer func() { <-b.writer }()
	b.mu.Lock()
	closed, usable := b.db == nil && errors.Is(b.fault, ErrClosed), b.db != nil && b.fault == nil
	b.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if usable {
		err = b.update(func(tx *bolt.Tx) error { return setClean(tx, true) })
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err = errors.Join(err, b.closeStore(), b.lock.Close())
	b.fault = ErrClosed
	if err != nil {
		return fmt.Errorf("close outbox %s: %w", b.dir, err)
	}
	return nil
}

// closeStore closes the bbolt file, if it is open.
func (b *Box) closeStore() error {
	if b.db == nil {
		return nil
	}
	err := b.db.Close()
	b.db = nil
	return err
}

// acquire takes the writer slot.
func (b *Box) acquire(ctx context.Context) error {
	select {
	case b.writer <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Box) release() { <-b.writer }

// Arrived receives a value after records became due: one for any number of
// them.
func (b *Box) Arrived() <-chan struct{} { return b.arrived }

func (b *Box) signalArrival() {
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// Position is a record's permanent place.
type Position struct {
	Epoch  uint32
	Seq    uint64
	Digest [32]byte
}

// Item is a record that is due.
type Item struct {
	Position
	RID  string
	Kind record.Kind
	Raw  []byte // the signed bytes, the caller's own
}
