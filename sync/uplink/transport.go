package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// A Transport carries one batch to the collector: 1 to record.MaxBatchRecords
// records of one epoch, record.MaxBatchBytes together. It returns the
// acknowledgements of a receipt whose signature it verified, or an error, of type
// *SendError where the transport knows more. A nil error without
// acknowledgements acknowledges nothing. It returns soon after ctx ends.
type Transport interface {
	Send(ctx context.Context, batch []outbox.Item) ([]record.Acknowledgement, error)
}

// A Queue holds the records; *outbox.Box is the one there is. Due returns what
// may be sent now, Settle applies acknowledgements, Postpone counts an attempt
// against records that are themselves at fault, and Arrived tells of new ones.
type Queue interface {
	Due(ctx context.Context, now time.Time, maxRecords, maxBytes int) ([]outbox.Item, error)
	Settle(ctx context.Context, acks []record.Acknowledgement) (outbox.Settled, error)
	Postpone(ctx context.Context, seqs []uint64, until time.Time) error
	Arrived() <-chan struct{}
}

// Kinds of failure of a Send.
var (
	// ErrUnreachable: no answer, or one that asks to come later. It says
	// nothing about the records.
	ErrUnreachable = errors.New("collector unreachable")
	// ErrRefused: the collector cannot read this batch (malformed, too large, or
	// its key was used for other bytes). At least one record may be at fault.
	ErrRefused = errors.New("collector refused the batch")
	// ErrIdentity: the collector does not accept this device.
	ErrIdentity = errors.New("collector does not accept this device")
	// ErrNoReceipt: an answer that claims success without a valid receipt for
	// these records. Somebody between is lying, or is not the collector.
	ErrNoReceipt = errors.New("answer without a valid receipt")

	errQueue = errors.New("uplink cannot use its queue")
)

// A SendError says what kind of failure a Send met.
type SendError struct {
	// Kind is one of the errors above; nil counts as ErrUnreachable.
	Kind error
	// RetryAfter is the collector's wish, 0 if it had none. It is clamped.
	RetryAfter time.Duration
	Err        error // the cause
}

// Error implements error.
func (e *SendError) Error() string { return fmt.Sprintf("%v: %v", e.kind(), e.Err) }

// Unwrap returns the kind and the cause.
func (e *SendError) Unwrap() []error { return []error{e.kind(), e.Err} }

func (e *SendError) kind() error {
	if e.Kind == nil {
		return ErrUnreachable
	}
	return e.Kind
}

// kindOf classes any error of a Send; what a transport does not class is the
// link's fault, so that no record ever suffers for it.
func kindOf(err error) error {
	for _, kind := range []error{ErrRefused, ErrIdentity, ErrNoReceipt, errQueue} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return ErrUnreachable
}
