package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Errors to branch on.
var (
	// ErrUnknownName reports a name that is not part of the domain.
	ErrUnknownName = errors.New("unknown name")
	// ErrPolicy reports a policy that cannot decide anything.
	ErrPolicy = errors.New("invalid policy")
)

// A Policy is what an institution demands. The zero Policy is invalid, and an
// invalid policy never approves.
type Policy struct {
	Name string `json:"name"`
	// Least are the checks that every verification must pass, whatever the
	// caller asks for.
	Least []CheckName `json:"least"`
	// Liveness is the least strength that is accepted.
	Liveness Strength `json:"liveness"`
	// AcceptUnattested accepts frames that this daemon did not take itself from
	// an allow-listed camera.
	AcceptUnattested bool `json:"accept_unattested"`
	// FMR is the false match rate at which faces are compared. It must be one
	// of the rates at which the model was measured.
	FMR float64 `json:"fmr"`
	// FMRInEveryCohort demands that the rate holds in the worst cohort too.
	FMRInEveryCohort bool `json:"fmr_in_every_cohort"`
	// RejectOn names those of quality, data_comparison and duplicate_face whose
	// False rejects; by default theirs sends to double_check.
	RejectOn []CheckName `json:"reject_on"`
}

// InstantPolicy is the policy of one call with uploaded images: one still image
// is accepted, and the approval says so in its assurance.
func InstantPolicy() Policy {
	return Policy{
		Name:             "instant",
		Least:            []CheckName{Quality, FaceMatch, Liveness},
		Liveness:         Still,
		AcceptUnattested: true,
		FMR:              1e-3,
	}
}

// KioskPolicy is the policy of a session at our own camera: a challenge, on
// frames that the daemon took from an allow-listed camera.
func KioskPolicy() Policy {
	return Policy{
		Name:     "kiosk",
		Least:    []CheckName{Quality, FaceMatch, Liveness},
		Liveness: Challenge,
		FMR:      1e-3,
	}
}

// Validate reports every fault of the policy at once, each wrapping ErrPolicy.
func (p Policy) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("policy %q: %w: %s", p.Name, ErrPolicy, fmt.Sprintf(format, args...)))
	}
	for _, name := range p.Least {
		if _, err := ParseCheckName(string(name)); err != nil {
			fault("least: %v", err)
		}
	}
	if !slices.ContainsFunc(p.Least, proves) {
		fault("least must hold face_match, liveness or nfc: anything less approves anybody")
	}
	if p.Liveness < Still || p.Liveness > Challenge {
		fault("liveness must be still, frames or challenge, not %v", p.Liveness)
	}
	if step(p.FMR, p.FMRInEveryCohort) == 0 {
		fault("fmr must be 1e-2, 1e-3, 1e-4 or (pooled only) 1e-5, not %g", p.FMR)
	}
	for _, name := range p.RejectOn {
		if !reviewable(name) {
			fault("reject_on: %q is not one of quality, data_comparison, duplicate_face", name)
		}
	}
	return errors.Join(faults...)
}

// Canonical returns the policy as the JSON of which Digest is the digest. The
// order and repetition of its lists do not matter. It is nil where FMR is no
// number.
func (p Policy) Canonical() []byte {
	canonical := func(names []CheckName) []CheckName {
		return nonNil(slices.Compact(slices.Sorted(slices.Values(names))))
	}
	p.Least, p.RejectOn = canonical(p.Least), canonical(p.RejectOn)
	body, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	return body
}

// Digest is the SHA-256 of Canonical in lower-case hex, by which records name
// the policy.
func (p Policy) Digest() string {
	sum := sha256.Sum256(p.Canonical())
	return hex.EncodeToString(sum[:])
}

// proves reports whether the check speaks of the person rather than of pictures
// and data.
func proves(name CheckName) bool { return name == FaceMatch || name == Liveness || name == NFC }

// reviewable reports whether a False of the check goes to a person by default.
func reviewable(name CheckName) bool {
	return name == Quality || name == DataComparison || name == DuplicateFace
}
