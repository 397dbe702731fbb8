// Package boltpages keeps bbolt away from files that would end the process. It
// owns a reading of bbolt's file format (version 2) without bbolt: it checks
// every page before a file is opened, and finds the elements of single pages in
// a file that no longer opens. It knows nothing of what the elements mean.
//
// bbolt walks every page of a file without a synced free list while it opens it,
// and reports what makes no sense by a panic in a goroutine of its own, which no
// caller can recover.
package boltpages
