package verify_test

import (
	"errors"
	"testing"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// TestEveryActionFromEveryStatusLeadsWhereTheTableSays walks all pairs: those
// that the table lists lead where it says, all others are refused.
func TestEveryActionFromEveryStatusLeadsWhereTheTableSays(t *testing.T) {
	type pair struct {
		from   verify.Status
		action verify.Action
	}
	allowed := map[pair]verify.Status{
		{verify.Started, verify.Submit}: verify.Submitted,

		{verify.Submitted, verify.Approve}:   verify.Approved,
		{verify.DoubleCheck, verify.Approve}: verify.Approved,
		{verify.Submitted, verify.Reject}:    verify.Rejected,
		{verify.DoubleCheck, verify.Reject}:  verify.Rejected,

		{verify.Started, verify.Hold}:     verify.OnHold,
		{verify.Submitted, verify.Hold}:   verify.OnHold,
		{verify.DoubleCheck, verify.Hold}: verify.OnHold,
		// The state under test is held from double_check.
		{verify.OnHold, verify.Resume}: verify.DoubleCheck,

		{verify.Started, verify.Cancel}:     verify.Cancelled,
		{verify.Submitted, verify.Cancel}:   verify.Cancelled,
		{verify.OnHold, verify.Cancel}:      verify.Cancelled,
		{verify.DoubleCheck, verify.Cancel}: verify.Cancelled,
		{verify.Error, verify.Cancel}:       verify.Cancelled,

		{verify.Rejected, verify.Resubmit}: verify.Started,
		{verify.Started, verify.Expire}:    verify.Expired,
		{verify.Error, verify.Retry}:       verify.Submitted,
		{verify.Started, verify.Decline}:   verify.Rejected,

		{verify.Approved, verify.Delete}:  verify.Deleted,
		{verify.Rejected, verify.Delete}:  verify.Deleted,
		{verify.Cancelled, verify.Delete}: verify.Deleted,
		{verify.Expired, verify.Delete}:   verify.Deleted,
		{verify.Error, verify.Delete}:     verify.Deleted,

		{verify.Approved, verify.OverruleApproved}:    verify.Approved,
		{verify.Rejected, verify.OverruleApproved}:    verify.Approved,
		{verify.DoubleCheck, verify.OverruleApproved}: verify.Approved,
		{verify.Approved, verify.OverruleRejected}:    verify.Rejected,
		{verify.Rejected, verify.OverruleRejected}:    verify.Rejected,
		{verify.DoubleCheck, verify.OverruleRejected}: verify.Rejected,

		{verify.Submitted, verify.ConcludeApproved}:    verify.Approved,
		{verify.Submitted, verify.ConcludeRejected}:    verify.Rejected,
		{verify.Submitted, verify.ConcludeDoubleCheck}: verify.DoubleCheck,
		{verify.Submitted, verify.ConcludeError}:       verify.Error,
	}
	statuses := append(verify.Statuses(), "", "no_such_status")
	actions := append(verify.Actions(), "", "no_such_action")
	seen := 0
	for _, status := range statuses {
		for _, action := range actions {
			from := verify.State{Status: status}
			if status == verify.OnHold {
				from.Held = verify.DoubleCheck
			}
			got, err := verify.Next(from, action)
			want, ok := allowed[pair{status, action}]
			if ok {
				seen++
				if err != nil || got.Status != want {
					t.Errorf("Next(%v, %s) = %v, %v, want %s", from, action, got, err, want)
				}
				continue
			}
			if !errors.Is(err, verify.ErrNotAllowed) || got != from {
				t.Errorf("Next(%v, %s) = %v, %v, want the same state and ErrNotAllowed", from, action, got, err)
			}
		}
	}
	if seen != len(allowed) {
		t.Errorf("walked %d of the %d allowed pairs", seen, len(allowed))
	}
}

func TestResumeReturnsToTheStatusBeforeTheHold(t *testing.T) {
	for _, status := range []verify.Status{verify.Started, verify.Submitted, verify.DoubleCheck} {
		held, err := verify.Next(verify.State{Status: status}, verify.Hold)
		if err != nil || held.Held != status {
			t.Fatalf("Next(%s, hold) = %v, %v, want Held %s", status, held, err, status)
		}
		got, err := verify.Next(held, verify.Resume)
		if want := (verify.State{Status: status}); err != nil || got != want {
			t.Errorf("Next(%v, resume) = %v, %v, want %v", held, got, err, want)
		}
	}
}

func TestResumeRefusesAHoldThatRemembersNothingItCouldHaveHeld(t *testing.T) {
	for _, held := range []verify.Status{"", verify.Approved, verify.OnHold, verify.Deleted} {
		from := verify.State{Status: verify.OnHold, Held: held}
		if got, err := verify.Next(from, verify.Resume); !errors.Is(err, verify.ErrNotAllowed) {
			t.Errorf("Next(%v, resume) = %v, %v, want ErrNotAllowed", from, got, err)
		}
	}
}
