package outbox

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

// The buckets. Keys of rec, acked and poison are the sequence number in
// big-endian, so that key order is queue order.
const (
	bucketMeta   = "meta"   // schema, chain, clean_shutdown, incarnation
	bucketRec    = "rec"    // seq -> header + sealed record
	bucketDue    = "due"    // next attempt in ms since 1970 ++ seq -> empty
	bucketAcked  = "acked"  // seq -> what the collector acknowledged; a ring
	bucketPoison = "poison" // seq -> why the record in rec is out of the queue
	bucketRID    = "rid"    // rid -> position and content, for ever
)

const (
	keySchema = "schema"
	keyChain  = "chain"
	keyClean  = "clean_shutdown"
	// keyIncarnation names the start that last wrote to the store.
	keyIncarnation = "incarnation"
)

const storeSchema = 1

// fillPercent packs pages for keys that only ever grow.
const fillPercent = 0.95

func buckets() []string {
	return []string{bucketMeta, bucketRec, bucketDue, bucketAcked, bucketPoison, bucketRID}
}

// bucket returns a bucket set up for appending.
func bucket(tx *bolt.Tx, name string) (*bolt.Bucket, error) {
	b := tx.Bucket([]byte(name))
	if b == nil {
		return nil, fmt.Errorf("%w: bucket %s is missing", ErrDamaged, name)
	}
	b.FillPercent = fillPercent
	return b, nil
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func dueKey(nextMs int64, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(seqKey(uint64(nextMs)), seq)
}

// aad binds a sealed value to its place, so that no ciphertext of the file
// opens anywhere else in it.
func aad(bucket string, key []byte, epoch uint32) []byte {
	a := append([]byte(bucket), 0)
	a = append(a, key...)
	a = binary.BigEndian.AppendUint32(a, epoch)
	return binary.BigEndian.AppendUint32(a, storeSchema)
}

// headerSize is the length of a stored record's header: version, kind,
// attempts (2), epoch (4), next attempt in ms (8), CRC-32C (4) over the header
// before it and the ciphertext.
const headerSize = 20

// stored is a value of the rec bucket, before opening its seal.
type stored struct {
	kind     record.Kind
	attempts uint16
	epoch    uint32
	nextMs   int64 // 0: at once
	sealed   []byte
}

func (s stored) encode() []byte {
	v := make([]byte, 0, headerSize+len(s.sealed))
	v = append(v, storeSchema, byte(slices.Index(record.Kinds(), s.kind)))
	v = binary.BigEndian.AppendUint16(v, s.attempts)
	v = binary.BigEndian.AppendUint32(v, s.epoch)
	v = binary.BigEndian.AppendUint64(v, uint64(s.nextMs))
	v = binary.BigEndian.AppendUint32(v, checksum(v, s.sealed))
	return append(v, s.sealed...)
}

// decodeStored returns a view of v, which stays valid as long as v.
func decodeStored(v []byte) (stored, error) {
	if len(v) < headerSize || v[0] != storeSchema || int(v[1]) >= len(record.Kinds()) {
		return stored{}, fmt.Errorf("%w: record header", ErrDamaged)
	}
	s := stored{
		kind:     record.Kinds()[v[1]],
		attempts: binary.BigEndian.Uint16(v[2:]),
		epoch:    binary.BigEndian.Uint32(v[4:]),
		nextMs:   int64(binary.BigEndian.Uint64(v[8:])),
		sealed:   v[headerSize:],
	}
	if checksum(v[:headerSize-4], s.sealed) != binary.BigEndian.Uint32(v[headerSize-4:]) {
		return stored{}, fmt.Errorf("%w: record checksum", ErrDamaged)
	}
	return s, nil
}

func checksum(parts ...[]byte) uint32 {
	var sum uint32
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), p)
	}
	return sum
}

// unseal returns the record under seq with its envelope, after checking that it
// is the record that was stored there.
func (b *Box) unseal(seq uint64, v []byte) (Item, stored, error) {
	s, err := decodeStored(v)
	if err != nil {
		return Item{}, stored{}, err
	}
	raw, err := b.o.Sealer.Open(s.sealed, aad(bucketRec, seqKey(seq), s.epoch))
	if err != nil {
		return Item{}, stored{}, fmt.Errorf("%w: record does not unseal", ErrDamaged)
	}
	e, err := record.Peek(raw)
	if err != nil || e.Seq != seq || e.Epoch != s.epoch || e.Kind != s.kind {
		return Item{}, stored{}, fmt.Errorf("%w: record is not the one of its key", ErrDamaged)
	}
	return Item{
		Position: Position{Epoch: e.Epoch, Seq: seq, Digest: record.Digest(raw)},
		RID:      e.RID,
		Kind:     e.Kind,
		Raw:      raw,
	}, s, nil
}

// chain is the state that the next record continues.
type chain struct {
	epoch uint32
	next  uint64 // the next sequence number
	head  string // FormatDigest of the last record of the epoch, "" for none
}

const chainFixed = 12

func (b *Box) loadChain(tx *bolt.Tx) (chain, error) {
	meta, err := bucket(tx, bucketMeta)
	if err != nil {
		return chain{}, err
	}
	return b.openChain(meta.Get([]byte(keyChain)))
}

func (b *Box) openChain(v []byte) (chain, error) {
	raw, err := b.o.Sealer.Open(v, aad(bucketMeta, []byte(keyChain), 0))
	if err != nil || len(raw) < chainFixed {
		return chain{}, fmt.Errorf("%w: chain state does not unseal", ErrDamaged)
	}
	return chain{
		epoch: binary.BigEndian.Uint32(raw),
		next:  binary.BigEndian.Uint64(raw[4:]),
		head:  string(raw[chainFixed:]),
	}, nil
}

func (b *Box) storeChain(tx *bolt.Tx, c chain) error {
	raw := binary.BigEndian.AppendUint32(nil, c.epoch)
	raw = binary.BigEndian.AppendUint64(raw, c.next)
	raw = append(raw, c.head...)
	v, err := b.o.Sealer.Seal(raw, aad(bucketMeta, []byte(keyChain), 0))
	if err != nil {
		return fmt.Errorf("seal chain state: %w", err)
	}
	meta, err := bucket(tx, bucketMeta)
	if err != nil {
		return err
	}
	return meta.Put([]byte(keyChain), v)
}

// claim is a value of the rid bucket: which record a rid stands for.
type claim struct {
	Position
	content [32]byte // SHA-256 of kind and body
}

const claimSize = 4 + 8 + 32 + 32 + 4

func (c claim) encode() []byte {
	v := binary.BigEndian.AppendUint32(make([]byte, 0, claimSize), c.Epoch)
	v = binary.BigEndian.AppendUint64(v, c.Seq)
	v = append(v, c.Digest[:]...)
	v = append(v, c.content[:]...)
	return binary.BigEndian.AppendUint32(v, checksum(v))
}

func decodeClaim(v []byte) (claim, error) {
	if len(v) != claimSize || checksum(v[:claimSize-4]) != binary.BigEndian.Uint32(v[claimSize-4:]) {
		return claim{}, fmt.Errorf("%w: entry of a record id", ErrDamaged)
	}
	c := claim{Position: Position{Epoch: binary.BigEndian.Uint32(v), Seq: binary.BigEndian.Uint64(v[4:])}}
	copy(c.Digest[:], v[12:])
	copy(c.content[:], v[44:])
	return c, nil
}

// ridKey is the binary form of a rid: version 7 begins with its time, so that
// the index grows at its end.
func ridKey(rid string) ([]byte, error) {
	if !record.ValidRID(rid) {
		return nil, fmt.Errorf("%w: rid is not a lower-case UUIDv7", record.ErrInvalid)
	}
	id, err := uuid.Parse(rid)
	if err != nil {
		return nil, fmt.Errorf("%w: rid: %w", record.ErrInvalid, err)
	}
	return id[:], nil
}
