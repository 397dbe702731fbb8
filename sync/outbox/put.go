package outbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

// maxGroup bounds the puts that share one commit.
const maxGroup = 64

// Put stores a record of the given kind whose body is a JSON object, and
// returns its position once it is on the disk. It is idempotent by rid for
// ever: the same rid with the same kind and body gives the same position, also
// after the record was delivered; with another, ErrConflict. Concurrent puts
// share a commit.
//
// An error means that nothing is promised, not that nothing was stored: the
// caller puts again under the same rid. Errors wrap record.ErrInvalid,
// ErrConflict, ErrFull, ErrDisk, ErrDamaged or the context's.
func (b *Box) Put(ctx context.Context, rid string, kind record.Kind, body []byte) (Position, error) {
	pos, err := b.put(ctx, rid, kind, body)
	if err != nil {
		return Position{}, fmt.Errorf("outbox: put: %w", err)
	}
	return pos, nil
}

func (b *Box) put(ctx context.Context, rid string, kind record.Kind, body []byte) (Position, error) {
	p, err := newPending(rid, kind, body)
	if err != nil {
		return Position{}, err
	}
	b.queue.push(p)
	if err := b.acquire(ctx); err != nil {
		if b.queue.remove(p) {
			return Position{}, err
		}
		<-p.done // a commit with this put is on its way to the disk
		return p.pos, p.err
	}
	defer b.release()
	select {
	case <-p.done: // the holder of the slot before us took this put along
	default:
		b.commit(b.queue.take(p))
	}
	return p.pos, p.err
}

// commit stores a group in one transaction. Where the group as a whole does not
// fit the quota, each member is tried alone, so that a large one does not refuse
// a small one.
func (b *Box) commit(group []*pending) {
	err := b.update(func(tx *bolt.Tx) error { return b.store(tx, group) })
	if errors.Is(err, ErrFull) && b.fault == nil && len(group) > 1 {
		for _, p := range group {
			b.commit([]*pending{p})
		}
		return
	}
	for _, p := range group {
		if err != nil {
			p.pos, p.err = Position{}, err
		}
		close(p.done)
	}
	stored := slices.ContainsFunc(group, func(p *pending) bool { return p.err == nil })
	full := slices.ContainsFunc(group, func(p *pending) bool { return errors.Is(p.err, ErrFull) })
	switch {
	case full && !b.full.Swap(true):
		b.log.Warn("outbox full", "quota", b.o.Quota)
	case stored && !full && b.full.Swap(false):
		b.log.Info("outbox accepts records again")
	}
	if stored {
		b.signalArrival()
	}
}

// store adds a group of records to tx. What is wrong with one put stays with
// it; an error returned spoils the transaction for all.
func (b *Box) store(tx *bolt.Tx, group []*pending) error {
	c, err := b.loadChain(tx)
	if err != nil {
		return err
	}
	before := c
	free := b.room(tx)
	for _, p := range group {
		p.pos, p.err = Position{}, nil
		known, err := b.claimed(tx, p)
		if known || err != nil {
			p.err = err
			continue
		}
		raw, err := record.Sign(record.Envelope{
			Tenant: b.o.Tenant, Device: b.o.Device,
			Epoch: c.epoch, Seq: c.next, RID: p.rid, Prev: c.head,
			Kind: p.kind, Body: p.body,
		}, b.o.Signer)
		if err != nil {
			p.err = err
			continue
		}
		if free -= cost(raw); free < b.reserveFor(p.kind) && !p.owed {
			free += cost(raw)
			p.err = fmt.Errorf("%w: quota of %d bytes", ErrFull, b.o.Quota)
			continue
		}
		p.pos = Position{Epoch: c.epoch, Seq: c.next, Digest: record.Digest(raw)}
		if err := b.insert(tx, p, raw); err != nil {
			return err
		}
		c.next, c.head = c.next+1, record.FormatDigest(p.pos.Digest)
	}
	if c == before {
		return nil
	}
	return b.storeChain(tx, c)
}

// claimed answers p from the index of rids.
func (b *Box) claimed(tx *bolt.Tx, p *pending) (bool, error) {
	rids, err := bucket(tx, bucketRID)
	if err != nil {
		return false, err
	}
	v := rids.Get(p.key)
	if v == nil {
		return false, nil
	}
	c, err := decodeClaim(v)
	if err != nil {
		return true, err
	}
	if c.content != p.content {
		return true, ErrConflict
	}
	p.pos = c.Position
	return true, nil
}

// insert writes one record and its entries.
func (b *Box) insert(tx *bolt.Tx, p *pending, raw []byte) error {
	rec, err := bucket(tx, bucketRec)
	if err != nil {
		return err
	}
	key := seqKey(p.pos.Seq)
	if rec.Get(key) != nil {
		return fmt.Errorf("%w: seq %d is taken", ErrDamaged, p.pos.Seq)
	}
	sealed, err := b.o.Sealer.Seal(raw, aad(bucketRec, key, p.pos.Epoch))
	if err != nil {
		return fmt.Errorf("seal record: %w", err)
	}
	if err := rec.Put(key, stored{kind: p.kind, epoch: p.pos.Epoch, sealed: sealed}.encode()); err != nil {
		return err
	}
	due, err := bucket(tx, bucketDue)
	if err != nil {
		return err
	}
	if err := due.Put(dueKey(0, p.pos.Seq), []byte{}); err != nil {
		return err
	}
	rids, err := bucket(tx, bucketRID)
	if err != nil {
		return err
	}
	return rids.Put(p.key, claim{Position: p.pos, content: p.content}.encode())
}

// pending is a put on its way to a commit. Its result is valid once done is
// closed.
type pending struct {
	rid     string
	key     []byte
	kind    record.Kind
	body    []byte // compact
	content [32]byte
	owed    bool // stored whatever the quota says

	done chan struct{}
	pos  Position
	err  error
}

// newPending checks what a caller wants stored.
func newPending(rid string, kind record.Kind, body []byte) (*pending, error) {
	key, err := ridKey(rid)
	if err != nil {
		return nil, err
	}
	if !kind.Valid() {
		return nil, fmt.Errorf("%w: unknown kind", record.ErrInvalid)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil || compact.Bytes()[0] != '{' {
		return nil, fmt.Errorf("%w: body is not a JSON object", record.ErrInvalid)
	}
	p := &pending{rid: rid, key: key, kind: kind, body: compact.Bytes(), done: make(chan struct{})}
	p.content = contentOf(kind, p.body)
	return p, nil
}

// contentOf is what makes two puts the same; body is compact.
func contentOf(kind record.Kind, body []byte) [32]byte {
	return sha256.Sum256(append(append([]byte(kind), 0), body...))
}

// queue holds puts that wait for the writer slot.
type queue struct {
	mu   sync.Mutex
	puts []*pending
}

func (q *queue) push(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.puts = append(q.puts, p)
}

// take removes and returns p and what waits with it, up to maxGroup, in order.
func (q *queue) take(p *pending) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.puts), max(maxGroup, slices.Index(q.puts, p)+1))
	group := slices.Clone(q.puts[:n])
	q.puts = slices.Delete(q.puts, 0, n)
	return group
}

// remove reports whether p was still waiting.
func (q *queue) remove(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.puts, p)
	if i < 0 {
		return false
	}
	q.puts = slices.Delete(q.puts, i, i+1)
	return true
}
