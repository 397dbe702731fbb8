package outbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/edgeverify/edgeverify/sync/record"
)

type gcm struct{ aead cipher.AEAD }

func (g gcm) Seal(p, aad []byte) ([]byte, error) { return g.aead.Seal(nil, nil, p, aad), nil }
func (g gcm) Open(c, aad []byte) ([]byte, error) { return g.aead.Open(nil, nil, c, aad) }

func openForDisk(t *testing.T, dir string) *Box {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), dir, Options{
		Tenant: "bank", Device: "kiosk-7", Quota: 8 << 20, Sealer: gcm{aead},
		Signer: ed25519.NewKeyFromSeed(make([]byte, 32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func putOne(t *testing.T, b *Box) (Position, error) {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return b.Put(t.Context(), id.String(), record.Verification, []byte(`{}`))
}

// breakDescriptor puts a descriptor that refuses writes in the place of the
// store's, as a disk does that has gone away. It returns the file's inode.
func breakDescriptor(t *testing.T, path string) uint64 {
	t.Helper()
	var want unix.Stat_t
	if err := unix.Stat(path, &want); err != nil {
		t.Fatal(err)
	}
	bad, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(bad)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, e := range fds {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err != nil || fd == bad {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Ino == want.Ino && st.Dev == want.Dev {
			if err := unix.Dup3(bad, fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			broken++
		}
	}
	if broken != 1 {
		t.Fatalf("%d descriptors of the store, want 1", broken)
	}
	return want.Ino
}

func TestFailedCommitIsNeverRepeatedOnTheSameFile(t *testing.T) {
	dir := t.TempDir()
	b := openForDisk(t, dir)
	first, err := putOne(t, b)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, storeFile)
	inode := breakDescriptor(t, path)
	if _, err := putOne(t, b); !errors.Is(err, ErrDisk) {
		t.Fatalf("Put on a failing disk = %v, want ErrDisk", err)
	}
	if s, err := b.Stats(t.Context()); err != nil || s.Fault == nil || s.Faults != 1 {
		t.Errorf("Stats = %+v, %v, want the fault shown", s, err)
	}
	next, err := putOne(t, b)
	if err != nil || next.Seq != first.Seq+1 {
		t.Fatalf("Put after the disk is back = %+v, %v, want seq %d without a restart", next, err, first.Seq+1)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Ino == inode {
		t.Errorf("store is still inode %d, %v, want a file written afresh", st.Ino, err)
	}
	if s, err := b.Stats(t.Context()); err != nil || s.Fault != nil {
		t.Errorf("Stats = %+v, %v, want no fault", s, err)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadsWorkWhileTheDiskRefusesCommits(t *testing.T) {
	dir := t.TempDir()
	b := openForDisk(t, dir)
	first, err := putOne(t, b)
	if err != nil {
		t.Fatal(err)
	}
	// A folder where the new file belongs makes every rewrite fail.
	blocker := filepath.Join(dir, newFile)
	if err := os.MkdirAll(filepath.Join(blocker, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	breakDescriptor(t, filepath.Join(dir, storeFile))
	for range 2 {
		if _, err := putOne(t, b); !errors.Is(err, ErrDisk) {
			t.Fatalf("Put = %v, want ErrDisk", err)
		}
	}
	if _, err := b.Due(t.Context(), time.Now(), 10, 1<<20); !errors.Is(err, ErrDisk) {
		t.Errorf("Due = %v, want ErrDisk: nothing is handed out before the file is safe", err)
	}
	if raw, err := b.Show(t.Context(), first.Seq); err != nil || record.Digest(raw) != first.Digest {
		t.Errorf("Show = %d bytes, %v, want the record", len(raw), err)
	}
	if err := os.RemoveAll(blocker); err != nil {
		t.Fatal(err)
	}
	if _, err := putOne(t, b); err != nil {
		t.Errorf("Put after the disk is back: %v", err)
	}
	if items, err := b.Due(t.Context(), time.Now(), 10, 1<<20); err != nil || len(items) != 2 {
		t.Errorf("Due = %d records, %v, want 2", len(items), err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestAFullQuotaKeepsTheBallast: what the ballast frees is no room in the quota.
func TestAFullQuotaKeepsTheBallast(t *testing.T) {
	b := openForDisk(t, t.TempDir())
	filler := make([]byte, 1<<20)
	err := b.write(t.Context(), func(tx *bolt.Tx) error {
		meta, err := bucket(tx, bucketMeta)
		for i := range uint64(b.o.Quota / int64(len(filler))) {
			err = errors.Join(err, meta.Put(seqKey(i), filler))
		}
		return err
	})
	if !errors.Is(err, ErrFull) {
		t.Fatalf("write of the whole quota = %v, want ErrFull", err)
	}
	if _, err := os.Stat(b.path(ballastFile)); err != nil || b.ballastGone {
		t.Errorf("the ballast was given up: %v, %t", err, b.ballastGone)
	}
	if _, err := putOne(t, b); err != nil {
		t.Errorf("Put afterwards: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
