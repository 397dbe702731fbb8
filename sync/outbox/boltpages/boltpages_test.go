package boltpages_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"log"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
)

const pageSize = 4096

// made returns the path of a closed store with a few pages.
func made(t testing.TB, o bolt.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	o.PageSize = pageSize
	db, err := bolt.Open(path, 0o600, &o)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := range 300 {
			key := binary.BigEndian.AppendUint32(nil, uint32(i))
			err = errors.Join(err, b.Put(key, bytes.Repeat(key, 20)))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestASoundFileOpens(t *testing.T) {
	for name, o := range map[string]bolt.Options{
		"without a free list": {NoFreelistSync: true},
		"with one":            {},
	} {
		path := made(t, o)
		for _, size := range []int{0, pageSize} {
			db, err := boltpages.Open(path, 0o600, &bolt.Options{PageSize: size, NoFreelistSync: true})
			if err != nil {
				t.Fatalf("Open %s, page size %d = %v, want success", name, size, err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := boltpages.Open(path, 0o600, &bolt.Options{PageSize: 8192}); !errors.Is(err, boltpages.ErrDamaged) {
			t.Errorf("Open %s with another page size = %v, want ErrDamaged", name, err)
		}
	}
}

func TestAMissingFileIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	if _, err := boltpages.Open(path, 0o600, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open = %v, want os.ErrNotExist", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat = %v, want no file", err)
	}
}

// TestAFileInUseIsNotRead: the pages of a file that another process writes may
// make no sense for a moment.
func TestAFileInUseIsNotRead(t *testing.T) {
	path := made(t, bolt.Options{})
	db, err := boltpages.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := boltpages.Open(path, 0o600, &bolt.Options{Timeout: time.Millisecond}); !errors.Is(err, berrors.ErrTimeout) {
		t.Errorf("second Open = %v, want ErrTimeout", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// failing is a disk with an unreadable sector.
type failing struct {
	io.ReaderAt
	from, to int64
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at < f.to && at+int64(len(p)) > f.from {
		return 0, syscall.EIO
	}
	return f.ReaderAt.ReadAt(p, at)
}

func TestAPageThatCannotBeReadIsDamage(t *testing.T) {
	raw, err := os.ReadFile(made(t, bolt.Options{NoFreelistSync: true}))
	if err != nil {
		t.Fatal(err)
	}
	file, failed := bytes.NewReader(raw), 0
	for at := int64(2 * pageSize); at < int64(len(raw)); at += pageSize {
		// The head of a page, then its rest.
		for _, f := range []failing{{file, at, at + 512}, {file, at + 512, at + pageSize}} {
			err := boltpages.Check(f, int64(len(raw)), pageSize)
			if err != nil {
				failed++
			}
			if err != nil && !errors.Is(err, boltpages.ErrDamaged) {
				t.Errorf("Check with page %d unreadable = %v, want ErrDamaged", at/pageSize, err)
			}
		}
	}
	if failed < 4 {
		t.Errorf("%d checks failed, want one for each page in use", failed)
	}
}

func TestADamagedFileIsLeftUnlockedAndUnchanged(t *testing.T) {
	path := made(t, bolt.Options{})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // both meta pages name page 0 as the free list
		m := raw[i*pageSize+16:]
		binary.LittleEndian.PutUint64(m[32:], 0)
		sum := fnv.New64a()
		sum.Write(m[:56])
		binary.LittleEndian.PutUint64(m[56:], sum.Sum64())
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := boltpages.Open(path, 0o600, &bolt.Options{Timeout: time.Second}); !errors.Is(err, boltpages.ErrDamaged) {
			t.Fatalf("Open = %v, want ErrDamaged each time", err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, raw) {
		t.Errorf("the file was changed, %v", err)
	}
}

func TestAPanicWhileOpeningLeavesNoLock(t *testing.T) {
	path := made(t, bolt.Options{})
	panics := &bolt.Options{Timeout: time.Second, Logger: loud{&bolt.DefaultLogger{Logger: log.New(io.Discard, "", 0)}}}
	if _, err := boltpages.Open(path, 0o600, panics); !errors.Is(err, boltpages.ErrDamaged) {
		t.Fatalf("Open = %v, want ErrDamaged", err)
	}
	db, err := boltpages.Open(path, 0o600, &bolt.Options{Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatalf("Open after a panic = %v, want success: the lock is free", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// loud panics where bbolt reports that it has opened the file, while it holds
// its lock.
type loud struct{ *bolt.DefaultLogger }

func (loud) Infof(format string, _ ...any) {
	if format == "Opening bbolt db (%s) successfully" {
		panic("no room in the log")
	}
}
func (loud) Debugf(string, ...any) {}
func (loud) Errorf(string, ...any) {}
