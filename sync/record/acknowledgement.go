package record

import "slices"

// AckStatus is what the collector did with a record. The zero value
// acknowledges nothing.
type AckStatus string

// The collector's answers.
const (
	Stored    AckStatus = "stored"    // durably committed now
	Duplicate AckStatus = "duplicate" // the same bytes were committed before
	Rejected  AckStatus = "rejected"  // not committed; Code says why
)

// Codes of a rejection.
const (
	CodeMalformed    = "malformed"     // not a record (ErrInvalid)
	CodeTooLarge     = "too_large"     // above MaxSize
	CodeSignature    = "bad_signature" // ErrSignature
	CodeWrongDevice  = "wrong_device"  // tenant or device is not the sender's
	CodeEquivocation = "equivocation"  // same identity, other digest
	CodeUnknownKey   = "unknown_key"   // not enrolled at this collector, or not yet
	CodeUnavailable  = "unavailable"   // the collector's store is out of order
)

// Acknowledgement is one line of a receipt whose signature holds: the
// collector's word on one record. It is worth nothing to a device unless Epoch
// and Digest are those of the record that the device keeps under Seq.
type Acknowledgement struct {
	Epoch  uint32
	Seq    uint64
	Digest [32]byte
	Status AckStatus
	// Code is set with Rejected: one of the Code constants, or a newer one.
	Code string
}

// Settles reports whether the collector has the record.
func (a Acknowledgement) Settles() bool {
	return a.Status == Stored || a.Status == Duplicate
}

// Retryable reports whether a rejected record may be accepted later as it is.
// An unknown code is final: the record is then set aside, where a person sees
// it, and not sent for ever.
func (a Acknowledgement) Retryable() bool {
	return a.Status == Rejected && slices.Contains([]string{CodeUnknownKey, CodeUnavailable}, a.Code)
}
