package verify

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// ErrReasonRequired reports a rejection by a person who gave neither a reason
// nor a comment.
var ErrReasonRequired = errors.New("a rejection needs a reason or a comment")

// A Verification is one confirmation of a claimed identity (ISO/IEC 2382-37).
type Verification struct {
	ID      string // UUIDv7, RFC 9562
	Created time.Time
	Request Request
	State
	Attempts int // submissions so far

	Verdict    Verdict
	Confidence int
	Final      bool
	Reasons    []Reason
	Reasoning  string
	Checks     []Check

	DecidedBy Actor // zero until somebody decided
	// MachineConfidence keeps the machine's confidence after a person decided.
	MachineConfidence int
	Assurance         Strength
	Attestation       Attestation
	Policy            string // digest of the policy that decided

	Document  DocumentInfo
	Extracted map[string]Field
	Models    []Model
	Timings   map[string]time.Duration // by stage
	History   []Event                  // oldest first
}

// DocumentInfo says what the document was recognised as; zero where it was not.
type DocumentInfo struct {
	Class  string `json:"class"`
	Side   string `json:"side"`
	Format string `json:"format"`
}

// A Field is one extracted datum with its source (chip, barcode, mrz, visual) and
// proof (signature, check_digit, agreement, none).
type Field struct {
	Value  Personal `json:"value"`
	Source string   `json:"source"`
	Proof  string   `json:"proof"`
}

// A Model is one model that took part.
type Model struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // lower-case hex
}

// An Actor is who acted.
type Actor struct {
	Role Role   `json:"role"`
	ID   string `json:"id,omitempty"` // pseudonymous; empty for the machine
}

// A Role is what an actor acts as.
type Role string

// The roles.
const (
	Machine    Role = "machine"
	Subject    Role = "subject"
	Integrator Role = "integrator"
	Operator   Role = "operator"
	Reviewer   Role = "reviewer"
	Admin      Role = "admin"
	Centre     Role = "centre"
)

// An Event is one change of status.
type Event struct {
	At      time.Time `json:"at"`
	Action  Action    `json:"action"`
	From    Status    `json:"from"`
	To      Status    `json:"to"`
	By      Actor     `json:"by"`
	Reasons []Reason  `json:"reasons,omitempty"`
	Comment Personal  `json:"comment,omitempty"`
}

// New returns a verification that has just started. The id is a UUIDv7.
func New(id string, created time.Time, request Request) Verification {
	return Verification{ID: id, Created: created, Request: request, State: State{Status: Started}}
}

// Apply performs the action of a person, a caller or the clock: event.Action, By,
// At, Reasons and Comment. It fills in From and To and appends the event to the
// history. On an error nothing changes. The engine's own conclusions go through
// Conclude.
func (v *Verification) Apply(event Event) error {
	if event.Action == Reject && len(event.Reasons) == 0 && event.Comment == "" {
		return fmt.Errorf("%s: %w", event.Action, ErrReasonRequired)
	}
	switch event.Action {
	case ConcludeApproved, ConcludeRejected, ConcludeDoubleCheck, ConcludeError:
		return fmt.Errorf("%s without a decision: %w", event.Action, ErrNotAllowed)
	case Decline:
		if len(event.Reasons) == 0 {
			event.Reasons = []Reason{DeclinedBySubject}
		}
	}
	if err := v.move(event); err != nil {
		return err
	}
	switch event.Action {
	case Submit, Retry:
		v.Attempts++
	case Resubmit:
		v.undecide()
	case Approve, Reject, Decline, OverruleApproved, OverruleRejected:
		v.decideBy(event)
	case Delete:
		v.bury()
	}
	return nil
}

// Conclude applies the engine's decision to a submitted verification. In any
// other status it returns ErrNotAllowed and changes nothing: an examination that
// ends after a cancellation decides nothing.
func (v *Verification) Conclude(d Decision, at time.Time) error {
	action, err := conclusion(d.Status)
	if err != nil {
		return err
	}
	if d.Status == Approved && (len(d.Checks) == 0 || d.Policy == "") {
		return fmt.Errorf("approval without a check or a policy: %w", ErrNotAllowed)
	}
	machine := Actor{Role: Machine}
	if err := v.move(Event{At: at, Action: action, By: machine, Reasons: d.Reasons}); err != nil {
		return err
	}
	v.Verdict, v.Confidence, v.Final = VerdictOf(v.Status), d.Confidence, d.Final
	v.MachineConfidence = d.Confidence
	v.Reasons, v.Reasoning, v.Checks = d.Reasons, d.Reasoning, d.Checks
	v.Assurance, v.Attestation, v.Policy = d.Assurance, d.Attestation, d.Policy
	v.DecidedBy = machine
	return nil
}

// move changes the state and writes history.
func (v *Verification) move(event Event) error {
	next, err := Next(v.State, event.Action)
	if err != nil {
		return fmt.Errorf("verification %s: %w", v.ID, err)
	}
	event.From, event.To = v.Status, next.Status
	v.State = next
	// Clipped, so that copies of the verification never share new events.
	v.History = append(slices.Clip(v.History), event)
	return nil
}

// decideBy makes the verdict that of a person or of the centre.
func (v *Verification) decideBy(event Event) {
	v.Verdict, v.Confidence = VerdictOf(v.Status), PersonConfidence
	v.DecidedBy = event.By
	v.Final = event.Action == OverruleApproved || event.Action == OverruleRejected
	v.Reasons = event.Reasons
	v.Reasoning = fmt.Sprintf("Decided by the %s. %s", event.By.Role, sentences(event.Reasons))
}

// undecide makes room for new documents; history keeps what was decided.
func (v *Verification) undecide() {
	v.Verdict, v.Confidence, v.MachineConfidence, v.Final = VerdictUnknown, 0, 0, false
	v.Reasons, v.Reasoning, v.Checks = nil, "", nil
	v.DecidedBy, v.Assurance, v.Attestation = Actor{}, NoLiveness, Unattested
	v.Document, v.Extracted, v.Models, v.Timings = DocumentInfo{}, nil, nil, nil
}

// bury leaves a tombstone: who did what and when, and nothing about the person.
func (v *Verification) bury() {
	history := slices.Clone(v.History)
	for i := range history {
		history[i].Comment, history[i].Reasons = "", nil
	}
	*v = Verification{ID: v.ID, Created: v.Created, State: v.State, History: history}
}

// OperatingPoints returns the ids of the points that the checks were judged at.
func (v Verification) OperatingPoints() []string {
	var ids []string
	for _, check := range v.Checks {
		if check.OperatingPoint != "" && !slices.Contains(ids, check.OperatingPoint) {
			ids = append(ids, check.OperatingPoint)
		}
	}
	return ids
}

// LogValue tells id, status and verdict.
func (v Verification) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", v.ID),
		slog.String("status", string(v.Status)),
		slog.String("verdict", v.Verdict.String()),
	)
}

// String tells what LogValue does.
func (v Verification) String() string {
	return fmt.Sprintf("verification %s %s %s", v.ID, v.Status, v.Verdict)
}

// GoString tells what String does.
func (v Verification) GoString() string { return v.String() }
