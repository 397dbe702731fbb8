package verify

import (
	"errors"
	"fmt"
)

// A Status is where the process stands. It says nothing about the identity; the
// verdict does.
type Status string

// The statuses.
const (
	Started     Status = "started"
	Submitted   Status = "submitted"
	DoubleCheck Status = "double_check" // a person must decide
	OnHold      Status = "hold"
	Approved    Status = "approved"
	Rejected    Status = "rejected"
	Cancelled   Status = "cancelled"
	Expired     Status = "expired"
	Error       Status = "error" // a machinery failure: no verdict, retryable

	// Deleted marks the tombstone that a deletion leaves. It is no status that a
	// surface shows: the verification is gone.
	Deleted Status = "deleted"
)

// Statuses returns every status, the tombstone last.
func Statuses() []Status {
	return []Status{
		Started, Submitted, DoubleCheck, OnHold, Approved, Rejected, Cancelled, Expired, Error, Deleted,
	}
}

// An Action asks for a change of status.
type Action string

// The actions of people and callers, of the clock (Expire), of the centre
// (Overrule…) and of the engine (Conclude…).
const (
	Submit   Action = "submit"
	Approve  Action = "approve"
	Reject   Action = "reject"
	Hold     Action = "hold"
	Resume   Action = "resume"
	Cancel   Action = "cancel"
	Resubmit Action = "resubmit"
	Expire   Action = "expire"
	Retry    Action = "retry"
	Decline  Action = "decline"
	Delete   Action = "delete"

	OverruleApproved Action = "overrule_approved"
	OverruleRejected Action = "overrule_rejected"

	ConcludeApproved    Action = "conclude_approved"
	ConcludeRejected    Action = "conclude_rejected"
	ConcludeDoubleCheck Action = "conclude_double_check"
	ConcludeError       Action = "conclude_error"
)

// Actions returns every action.
func Actions() []Action {
	return []Action{
		Submit, Approve, Reject, Hold, Resume, Cancel, Resubmit, Expire, Retry, Decline, Delete,
		OverruleApproved, OverruleRejected,
		ConcludeApproved, ConcludeRejected, ConcludeDoubleCheck, ConcludeError,
	}
}

// ErrNotAllowed reports an action that the status does not allow.
var ErrNotAllowed = errors.New("not allowed in this status")

// A State is a status with what the lifecycle must remember beside it.
type State struct {
	Status Status
	// Held is the status to which Resume returns; empty unless on hold.
	Held Status
}

// Next returns the state to which the action leads. An action that the status
// does not allow returns ErrNotAllowed and the state unchanged.
func Next(from State, action Action) (State, error) {
	to := Status("")
	switch action {
	case Submit:
		to = from.on(Submitted, Started)
	case Approve:
		to = from.on(Approved, Submitted, DoubleCheck)
	case Reject:
		to = from.on(Rejected, Submitted, DoubleCheck)
	case Hold:
		if to = from.on(OnHold, Started, Submitted, DoubleCheck); to != "" {
			return State{Status: to, Held: from.Status}, nil
		}
	case Resume:
		if from.Status == OnHold && (State{Status: from.Held}).on(from.Held, Started, Submitted, DoubleCheck) != "" {
			to = from.Held
		}
	case Cancel:
		to = from.on(Cancelled, Started, Submitted, OnHold, DoubleCheck, Error)
	case Resubmit:
		to = from.on(Started, Rejected)
	case Expire:
		to = from.on(Expired, Started)
	case Retry:
		to = from.on(Submitted, Error)
	case Decline:
		to = from.on(Rejected, Started)
	case Delete:
		to = from.on(Deleted, Approved, Rejected, Cancelled, Expired, Error)
	case OverruleApproved:
		to = from.on(Approved, Approved, Rejected, DoubleCheck)
	case OverruleRejected:
		to = from.on(Rejected, Approved, Rejected, DoubleCheck)
	case ConcludeApproved:
		to = from.on(Approved, Submitted)
	case ConcludeRejected:
		to = from.on(Rejected, Submitted)
	case ConcludeDoubleCheck:
		to = from.on(DoubleCheck, Submitted)
	case ConcludeError:
		to = from.on(Error, Submitted)
	}
	if to == "" {
		return from, fmt.Errorf("%s from %s: %w", action, from.Status, ErrNotAllowed)
	}
	return State{Status: to}, nil
}

// on returns to if the state's status is one of allowed, else the empty status.
func (s State) on(to Status, allowed ...Status) Status {
	for _, status := range allowed {
		if s.Status == status {
			return to
		}
	}
	return ""
}

// conclusion is the engine's action for the status of a decision.
func conclusion(status Status) (Action, error) {
	switch status {
	case Approved:
		return ConcludeApproved, nil
	case Rejected:
		return ConcludeRejected, nil
	case DoubleCheck:
		return ConcludeDoubleCheck, nil
	case Error:
		return ConcludeError, nil
	}
	return "", fmt.Errorf("conclude with status %q: %w", status, ErrNotAllowed)
}
