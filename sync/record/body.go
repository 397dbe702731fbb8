package record

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MaxBody bounds the bytes of an encoded Body. In base64 and with its envelope
// a record of that size stays below MaxSize.
const MaxBody = 32 << 10

// Body is what an outcome states: the body of the kinds verification, enrolment,
// review, overrule, deletion and attack. It holds codes, bands and digests; a
// comparison score, a feature vector or an image has no place in it, because a
// few dozen scores are enough to rebuild a face template (Frontiers in Imaging
// 2025, 10.3389/fimag.2025.1476377). Fields that do not apply are left out.
type Body struct {
	// WallMs is the wall clock in milliseconds since 1970 UTC, to be read
	// together with ClockQ. MonoNs is CLOCK_BOOTTIME in nanoseconds, which
	// orders the records of one BootID whatever the wall clock does.
	WallMs int64  `json:"t_wall"`
	MonoNs int64  `json:"t_mono_ns"`
	BootID string `json:"boot_id"`
	// ClockQ is synced, holdover or unset; ClockErrMs the kernel's estimate
	// of the error in milliseconds, 0 where there is none.
	ClockQ     string `json:"clock_q"`
	ClockErrMs uint32 `json:"clock_err_ms,omitempty"`

	// Verification names the verification that this record is about, so that
	// a review, overrule or deletion finds its verification.
	Verification string `json:"verification,omitempty"`
	// SubjectRef is a keyed hash of the subject, never personal data.
	SubjectRef string `json:"subject_ref,omitempty"`

	Status   string `json:"status,omitempty"`
	Previous string `json:"previous_status,omitempty"`
	Verdict  string `json:"verdict,omitempty"` // true, false or unknown
	Final    bool   `json:"final"`
	// Decision is match, no_match or no_decision, always present.
	Decision   string        `json:"decision"`
	Confidence uint8         `json:"confidence,omitempty"` // 0 to 100, from the printed table of bands
	Reasons    []string      `json:"reasons,omitempty"`
	Checks     []CheckResult `json:"checks,omitempty"`
	// Strength is the weakest liveness that the outcome rests on: still,
	// frames or challenge.
	Strength string `json:"strength,omitempty"`
	// DecidedBy is the role of the person who decided, "" where the machine did.
	DecidedBy string `json:"decided_by,omitempty"`

	Document *Document `json:"document,omitempty"`

	// Models are the digests of every model that was asked; Policy is the
	// digest of the policy in force; OperatingPoints are the ids of the
	// operating points whose edges the bands are.
	Models          []SHA256 `json:"models,omitempty"`
	Policy          SHA256   `json:"policy,omitempty"`
	OperatingPoints []string `json:"operating_points,omitempty"`
	// Blobs are sealed evidence that follows by its own class, if at all.
	Blobs []Blob `json:"blobs,omitempty"`

	// Camera is the allow-list id of the camera, "" without one.
	Camera      string `json:"camera,omitempty"`
	Agent       string `json:"agent"` // version
	AgentDigest SHA256 `json:"agent_digest,omitempty"`
	// Assurance is low or hardware: where the device's keys live.
	Assurance string     `json:"assurance"`
	Retention *Retention `json:"retention,omitempty"`
}

// CheckResult is the outcome of one check.
type CheckResult struct {
	Name    string   `json:"name"`
	Result  string   `json:"result"` // true, false, flagged, unknown or not_run
	Reasons []string `json:"reasons,omitempty"`
	// Band is 0 to 7: between which operating points the measurement fell.
	// Nil where nothing was measured.
	Band *uint8 `json:"band,omitempty"`
	// Strength (still, frames, challenge) and Attestation (attested,
	// unattested) qualify a liveness result.
	Strength    string `json:"strength,omitempty"`
	Attestation string `json:"attestation,omitempty"`
}

// Document says which class of document was shown, not whose.
type Document struct {
	Type   string `json:"type"`
	Issuer string `json:"issuer,omitempty"` // ICAO 9303 country code
}

// Blob names sealed evidence by the digest of its ciphertext.
type Blob struct {
	Digest SHA256 `json:"digest"`
	Class  string `json:"class"`
	Size   int64  `json:"size"` // bytes
}

// Retention bounds how long the centre keeps the record's evidence.
type Retention struct {
	Class      string `json:"class"`
	NotAfterMs int64  `json:"not_after,omitempty"` // milliseconds since 1970 UTC
}

// SHA256 is a digest in lower-case hex, as files carry it in a manifest.
type SHA256 string

// Encode returns the one byte string that stands for b, for Envelope.Body. An
// error wraps ErrInvalid and names the field.
func (b Body) Encode() ([]byte, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	raw, err := marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode body: %w", err)
	}
	if len(raw) > MaxBody {
		return nil, fmt.Errorf("%w: body of %d bytes, at most %d", ErrInvalid, len(raw), MaxBody)
	}
	return raw, nil
}

// DecodeBody accepts only what Encode produces, and checks every field. An error
// wraps ErrInvalid.
func DecodeBody(raw []byte) (Body, error) {
	if len(raw) > MaxBody {
		return Body{}, fmt.Errorf("%w: body of %d bytes, at most %d", ErrInvalid, len(raw), MaxBody)
	}
	var b Body
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return Body{}, fmt.Errorf("%w: body: %w", ErrInvalid, err)
	}
	again, err := b.Encode()
	if err != nil {
		return Body{}, err
	}
	if !bytes.Equal(raw, again) {
		return Body{}, fmt.Errorf("%w: body is not in its canonical form", ErrInvalid)
	}
	return b, nil
}
