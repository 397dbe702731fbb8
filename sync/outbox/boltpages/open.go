package boltpages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// ErrDamaged means that the file is not what bbolt writes, or cannot be read.
var ErrDamaged = errors.New("damaged bbolt file")

// lockRetry is the pause between two attempts to lock a file, as in bbolt.
const lockRetry = 50 * time.Millisecond

// Open is bolt.Open for a file that exists, with every page checked first: under
// bbolt's lock, and through the descriptor that bbolt will use. The file's page
// size must be that of the options, where they name one. A file that makes no
// sense gives ErrDamaged and is neither changed nor left locked. Of the options,
// OpenFile is not used.
func Open(path string, mode os.FileMode, o *bolt.Options) (db *bolt.DB, err error) {
	options := bolt.Options{}
	if o != nil {
		options = *o
	}
	var file *os.File
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag&^os.O_CREATE, mode)
		if err != nil || file != nil {
			return f, err // a later call copies the file that was checked
		}
		if err := errors.Join(lock(f, options), checkOpen(f, options.PageSize)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		file = f
		return f, nil
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			// Nobody can unmap the file any more, and a mapping keeps the
			// lock of a closed one.
			db, err = nil, fmt.Errorf("%w: %v", ErrDamaged, r)
			if file != nil {
				err = errors.Join(err, unix.Flock(int(file.Fd()), unix.LOCK_UN), file.Close())
			}
		}
	}()
	return bolt.Open(path, mode, &options)
}

// lock takes the lock that bbolt is about to take. A second one on the same
// descriptor succeeds.
func lock(f *os.File, o bolt.Options) error {
	how := unix.LOCK_EX
	if o.ReadOnly {
		how = unix.LOCK_SH
	}
	if o.Timeout == 0 {
		return unix.Flock(int(f.Fd()), how)
	}
	for began := time.Now(); ; time.Sleep(lockRetry) {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if time.Since(began) > o.Timeout-lockRetry {
			return berrors.ErrTimeout
		}
	}
}

func checkOpen(f *os.File, pageSize int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", f.Name(), fs.ErrInvalid)
	}
	return Check(f, info.Size(), pageSize)
}
