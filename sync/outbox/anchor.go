package outbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
	bolt "go.etcd.io/bbolt"
)

// anchor is what stands in a file of its own, beside the store: the epoch that
// this folder has reached, and a random incarnation that is renewed, in the file
// and in the store, at every start. A store of another incarnation is not the one
// that was open last, but an older copy of it: numbers of its epoch may have been
// given to records that it does not know.
//
// The file is written before the store. A cut between the two costs an epoch.
type anchor struct {
	epoch       uint32
	incarnation string // "" in folders that knew none
}

func newIncarnation() string { return rand.Text() }

// readAnchor returns the anchor of the folder, zero for a new one.
func (b *Box) readAnchor() (anchor, error) {
	raw, err := os.ReadFile(b.path(epochFile))
	if errors.Is(err, fs.ErrNotExist) {
		return anchor{}, nil
	}
	if err != nil {
		return anchor{}, err
	}
	epoch, incarnation, _ := strings.Cut(strings.TrimSuffix(string(raw), "\n"), " ")
	n, err := strconv.ParseUint(epoch, 10, 32)
	if err != nil || n == 0 {
		return anchor{}, fmt.Errorf("%w: %s holds no epoch", ErrDamaged, epochFile)
	}
	return anchor{uint32(n), incarnation}, nil
}

func (b *Box) writeAnchor(a anchor) error {
	line := fmt.Appendf(nil, "%d %s\n", a.epoch, a.incarnation)
	if err := renameio.WriteFile(b.path(epochFile), line, 0o600, renameio.WithTempDir(b.dir)); err != nil {
		return err
	}
	return syncPath(b.dir)
}

func storeIncarnation(tx *bolt.Tx, incarnation string) error {
	meta, err := bucket(tx, bucketMeta)
	if err != nil {
		return err
	}
	return meta.Put([]byte(keyIncarnation), []byte(incarnation))
}
