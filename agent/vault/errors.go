package vault

import (
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"
)

// Errors to branch on.
var (
	// ErrInUse means that another process has the folder open.
	ErrInUse = errors.New("another process uses this folder")
	// ErrWrongKey means that the vault was made with another device key. The
	// file is unchanged.
	ErrWrongKey = errors.New("the vault was sealed with another device key")
	// ErrFull means that the quota or the file system has no room. Nothing was
	// stored. Reading still works, and below the quota so do MarkDone and
	// DeleteReference.
	ErrFull = errors.New("vault full")
	// ErrNotFound means that nothing is stored, or shown yet, under the key.
	ErrNotFound = errors.New("not in the vault")
	// ErrPending means that an earlier outcome of the verification is not done.
	ErrPending = errors.New("an earlier outcome is pending")
	// ErrConflict means that the rid is taken by another outcome.
	ErrConflict = errors.New("the rid belongs to another outcome")
	// ErrDamaged means that the file or a value in it is not what was written,
	// or that a write failed in a way that only opening again can repair.
	ErrDamaged = errors.New("vault damaged")
)

// outOfSpace maps what bbolt and the system say of a full disk.
func outOfSpace(err error) bool {
	return errors.Is(err, berrors.ErrMaxSizeReached) || errors.Is(err, syscall.ENOSPC) ||
		errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// guarded runs fn on the memory-mapped file. bbolt panics on a page that is not
// what it says, and reading a page that the disk lost raises a fault; both are
// errors here.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return fn()
}
