package collector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
	"go.etcd.io/bbolt"
)

// The buckets of collector.db. Keys of one device share the prefix
// tenant 0x00 device 0x00; numbers are big-endian, so that order by key is order
// by position. Names hold no 0x00 byte.
var (
	bucketMeta     = []byte("meta")     // "schema" → 1
	bucketDevices  = []byte("devices")  // prefix → keys
	bucketRows     = []byte("rows")     // prefix epoch seq → row
	bucketRIDs     = []byte("rids")     // prefix rid → epoch seq of the first
	bucketArrivals = []byte("arrivals") // arrival → key in rows
	bucketEpochs   = []byte("epochs")   // prefix epoch → first seq
	bucketEvidence = []byte("evidence") // prefix epoch seq digest → time, record
	bucketCases    = []byte("cases")    // prefix epoch seq → time, what is odd
	bucketRequests = []byte("requests") // prefix Idempotency-Key → time, body digest
	bucketClaims   = []byte("claims")   // SHA-256 of a claim token → prefix

	keySchema = []byte("schema")
)

const storeSchema = 1

func buckets() [][]byte {
	return [][]byte{
		bucketMeta, bucketDevices, bucketRows, bucketRIDs, bucketArrivals,
		bucketEpochs, bucketEvidence, bucketCases, bucketRequests, bucketClaims,
	}
}

// ErrDamaged means that collector.db is not what was written. It is left as it
// is, to be restored from a copy.
var ErrDamaged = errors.New("collector store is damaged")

// store is the embedded store, on one bbolt file.
type store struct {
	db *bbolt.DB
}

// openStore opens the file, or makes it under another name first: a power cut in
// the first milliseconds of a bbolt file can leave one that does not open.
func openStore(path string) (*store, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createStore(path); err != nil {
			return nil, fmt.Errorf("create store: %w", err)
		}
	} else if err != nil {
		return nil, err
	}
	db, err := openBolt(path, boltpages.Open)
	if errors.Is(err, boltpages.ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	s := &store{db: db}
	if err := db.View(checkSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), db.Close())
	}
	return s, nil
}

// opener is bbolt.Open for a new file and boltpages.Open for one that exists.
type opener func(path string, mode os.FileMode, o *bbolt.Options) (*bbolt.DB, error)

func openBolt(path string, open opener) (*bbolt.DB, error) {
	return open(path, 0o600, &bbolt.Options{
		Timeout:        2 * time.Second,
		FreelistType:   bbolt.FreelistMapType,
		NoFreelistSync: true,
	})
}

func createStore(path string) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openBolt(fresh, bbolt.Open)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte{storeSchema})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func checkSchema(tx *bbolt.Tx) error {
	for _, name := range buckets() {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: no bucket %s", ErrDamaged, name)
		}
	}
	if v := tx.Bucket(bucketMeta).Get(keySchema); len(v) != 1 || v[0] != storeSchema {
		return fmt.Errorf("schema %v, want %d", v, storeSchema)
	}
	return nil
}

func (s *store) close() error { return s.db.Close() }

// pruneRequests forgets the Idempotency-Keys used before the time given.
func (s *store) pruneRequests(before time.Time) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRequests)
		var old [][]byte
		err := b.ForEach(func(k, v []byte) error {
			if len(v) < 8 || int64(binary.BigEndian.Uint64(v)) < before.UnixMilli() {
				old = append(old, append([]byte(nil), k...))
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, k := range old {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// devicePrefix begins every key of one device.
func devicePrefix(tenant, device string) []byte {
	k := make([]byte, 0, len(tenant)+len(device)+2+12+43)
	k = append(k, tenant...)
	k = append(k, 0)
	k = append(k, device...)
	return append(k, 0)
}

func epochKey(tenant, device string, epoch uint32) []byte {
	return binary.BigEndian.AppendUint32(devicePrefix(tenant, device), epoch)
}

func positionKey(tenant, device string, epoch uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(epochKey(tenant, device, epoch), seq)
}

func unixMilli(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))
}
