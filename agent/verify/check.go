package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A CheckName names one examination.
type CheckName string

// The checks that a caller or a policy may ask for.
const (
	Quality         CheckName = "quality"          // images good enough to examine
	Document        CheckName = "document"         // class and side recognised, whole, valid, allowed
	OCR             CheckName = "ocr"              // fields read, each with source and proof
	DataValidation  CheckName = "data_validation"  // formats, check digits, MRZ against visual zone
	DataComparison  CheckName = "data_comparison"  // expected data against extracted data
	FaceMatch       CheckName = "face_match"       // probe against reference, 1:1
	Liveness        CheckName = "liveness"         // presentation attack detection
	Fraud           CheckName = "fraud"            // recapture, substitution, tampering
	AgeVerification CheckName = "age_verification" // minimum age by a proven date of birth
	AML             CheckName = "aml"              // sanctions and PEP lists
	DuplicateFace   CheckName = "duplicate_face"   // 1:N over the device's gallery
	FaceBlacklist   CheckName = "face_blacklist"   // 1:N over a face list
	IPProxy         CheckName = "ip_proxy"         // network origin of a remote caller
	NFC             CheckName = "nfc"              // chip read and authenticated
)

// CheckNames returns every name in the order in which results are listed.
func CheckNames() []CheckName {
	return []CheckName{
		Quality, Document, OCR, DataValidation, DataComparison, FaceMatch, Liveness,
		Fraud, AgeVerification, AML, DuplicateFace, FaceBlacklist, IPProxy, NFC,
	}
}

// ParseCheckName accepts exactly the names that CheckNames lists.
func ParseCheckName(s string) (CheckName, error) {
	if name := CheckName(s); slices.Contains(CheckNames(), name) {
		return name, nil
	}
	var known []string
	for _, name := range CheckNames() {
		known = append(known, string(name))
	}
	return "", fmt.Errorf("check %q: %w; known are %s", s, ErrUnknownName, strings.Join(known, " "))
}

// A Result is the answer of one check. The zero value is NotRun: a check that
// nobody filled in has not passed.
type Result uint8

// The five results.
const (
	NotRun  Result = iota // the device did not or could not run the check
	Unknown               // it ran and could not tell
	Flagged               // it ran and wants a person to look
	False                 // it failed
	True                  // it passed
)

// String returns the name that JSON carries: not_run, unknown, flagged, false, true.
func (r Result) String() string {
	switch r {
	case Unknown:
		return "unknown"
	case Flagged:
		return "flagged"
	case False:
		return "false"
	case True:
		return "true"
	}
	return "not_run"
}

// MarshalText makes the result a JSON string, never a JSON boolean, because it
// has more than two values.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (r *Result) UnmarshalText(text []byte) error {
	for _, known := range []Result{NotRun, Unknown, Flagged, False, True} {
		if known.String() == string(text) {
			*r = known
			return nil
		}
	}
	return fmt.Errorf("result %q: %w; known are not_run unknown flagged false true", text, ErrUnknownName)
}

// A Check is one finished examination, without any score.
type Check struct {
	Name      CheckName
	Result    Result
	Reasons   []Reason // codes behind the result; never empty in what a Judge returns
	Reasoning string   // the reasons as sentences for the clerk
	Band      Band
	Duration  time.Duration // of the examination

	// OperatingPoint names the point that the result was judged at and Rate its
	// error rate; both are zero where no score was judged.
	OperatingPoint string
	Rate           float64
	// Model is the SHA-256 digest of the model that made the score, lower-case
	// hex, or empty.
	Model string

	// Strength and Attestation qualify liveness; both are zero elsewhere.
	Strength    Strength
	Attestation Attestation
}
