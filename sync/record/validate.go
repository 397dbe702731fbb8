package record

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Bounds of a Body's fields.
const (
	maxText       = 128 // bytes of an id or version
	maxCode       = 64  // bytes of a code: a reason, a check, a class
	maxList       = 64  // entries of a list
	maxBand       = 7
	maxConfidence = 100
)

// Validate returns an error wrapping ErrInvalid that names every field that
// breaks a rule. It never repeats a field's content.
func (b Body) Validate() error {
	var f faults
	f.require(b.WallMs >= 0, "t_wall", "before 1970")
	f.require(b.MonoNs >= 0, "t_mono_ns", "negative")
	_, err := uuid.Parse(b.BootID)
	f.require(err == nil && len(b.BootID) == 36, "boot_id", "not a UUID")
	f.oneOf(b.ClockQ, "clock_q", "synced", "holdover", "unset")
	f.text(b.Verification, "verification")
	f.text(b.SubjectRef, "subject_ref")
	f.optional(b.Status, "status", statuses()...)
	f.optional(b.Previous, "previous_status", statuses()...)
	f.optional(b.Verdict, "verdict", "true", "false", "unknown")
	f.oneOf(b.Decision, "decision", "match", "no_match", "no_decision")
	f.require(b.Confidence <= maxConfidence, "confidence", "above 100")
	f.codes(b.Reasons, "reasons")
	f.optional(b.Strength, "strength", strengths()...)
	f.optionalCode(b.DecidedBy, "decided_by")
	f.require(len(b.Checks) <= maxList, "checks", "too many")
	for _, c := range b.Checks {
		f.check(c)
	}
	if b.Document != nil {
		f.code(b.Document.Type, "document.type")
		f.text(b.Document.Issuer, "document.issuer")
	}
	f.require(len(b.Models) <= maxList, "models", "too many")
	for _, d := range b.Models {
		f.digest(d, "models")
	}
	f.optionalDigest(b.Policy, "policy")
	f.require(len(b.OperatingPoints) <= maxList, "operating_points", "too many")
	for _, p := range b.OperatingPoints {
		f.require(p != "", "operating_points", "empty entry")
		f.text(p, "operating_points")
	}
	f.require(len(b.Blobs) <= maxList, "blobs", "too many")
	for _, blob := range b.Blobs {
		f.digest(blob.Digest, "blobs.digest")
		f.code(blob.Class, "blobs.class")
		f.require(blob.Size > 0, "blobs.size", "not positive")
	}
	f.text(b.Camera, "camera")
	f.require(b.Agent != "", "agent", "empty")
	f.text(b.Agent, "agent")
	f.optionalDigest(b.AgentDigest, "agent_digest")
	f.oneOf(b.Assurance, "assurance", "low", "hardware")
	if b.Retention != nil {
		f.code(b.Retention.Class, "retention.class")
		f.require(b.Retention.NotAfterMs >= 0, "retention.not_after", "before 1970")
	}
	return errors.Join(f...)
}

// faults collects every broken rule, so that one run shows them all.
type faults []error

func (f *faults) require(ok bool, field, what string) {
	if !ok {
		*f = append(*f, fmt.Errorf("%w: body.%s: %s", ErrInvalid, field, what))
	}
}

func (f *faults) check(c CheckResult) {
	f.code(c.Name, "checks.name")
	f.oneOf(c.Result, "checks.result", "true", "false", "flagged", "unknown", "not_run")
	f.codes(c.Reasons, "checks.reasons")
	f.require(c.Band == nil || *c.Band <= maxBand, "checks.band", "above 7")
	f.optional(c.Strength, "checks.strength", strengths()...)
	f.optional(c.Attestation, "checks.attestation", "attested", "unattested")
}

func (f *faults) oneOf(s, field string, allowed ...string) {
	f.require(slices.Contains(allowed, s), field, "not a known value")
}

func (f *faults) optional(s, field string, allowed ...string) {
	f.require(s == "" || slices.Contains(allowed, s), field, "not a known value")
}

// text admits printable ASCII without space: ids and versions, which keeps
// names and free text of people out.
func (f *faults) text(s, field string) {
	ok := len(s) <= maxText
	for _, c := range []byte(s) {
		ok = ok && c > ' ' && c < 0x7f
	}
	f.require(ok, field, "longer than 128 bytes, or not printable ASCII without spaces")
}

func (f *faults) code(s, field string) {
	ok := s != "" && len(s) <= maxCode
	for _, c := range []byte(s) {
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_')
	}
	f.require(ok, field, "not a code: 1 to 64 of a-z 0-9 _")
}

func (f *faults) optionalCode(s, field string) {
	if s != "" {
		f.code(s, field)
	}
}

func (f *faults) codes(list []string, field string) {
	f.require(len(list) <= maxList, field, "too many")
	for _, s := range list {
		f.code(s, field)
	}
}

func (f *faults) digest(d SHA256, field string) {
	ok := len(d) == 64
	for _, c := range []byte(d) {
		ok = ok && ('a' <= c && c <= 'f' || '0' <= c && c <= '9')
	}
	f.require(ok, field, "not a SHA-256 in lower-case hex")
}

func (f *faults) optionalDigest(d SHA256, field string) {
	if d != "" {
		f.digest(d, field)
	}
}

// statuses are those of a verification (the process, not the verdict).
func statuses() []string {
	return []string{
		"started", "submitted", "double_check", "hold", "approved",
		"rejected", "cancelled", "expired", "error",
	}
}

func strengths() []string { return []string{"still", "frames", "challenge"} }
