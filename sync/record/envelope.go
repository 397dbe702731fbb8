package record

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Schema is the version of the envelope this package writes and reads.
const Schema = 1

// Type is the typ header of every record's JWS.
const Type = "idv-result+v1"

// MaxSize bounds the bytes of one signed record. Evidence that does not fit
// travels as a blob, named in the record by digest.
const MaxSize = 64 << 10

// maxName bounds tenant and device names, in bytes.
const maxName = 64

var (
	// ErrInvalid marks bytes or an envelope that are no record: wrong shape,
	// size, spelling or field. No key and no retry makes them one.
	ErrInvalid = errors.New("invalid record")
	// ErrSignature marks a well-formed record whose signature does not hold.
	ErrSignature = errors.New("record signature does not verify")
	// ErrUnknownKey marks a record signed by a key that the caller does not know.
	ErrUnknownKey = errors.New("record signed by an unknown key")
)

// Kind says what a record reports. The set is fixed for ever: a collector of
// today reads the records of every earlier device.
type Kind string

// The kinds of records.
const (
	Verification Kind = "verification" // an outcome of a verification
	Enrolment    Kind = "enrolment"    // a reference was enrolled
	Review       Kind = "review"       // a person decided on the device
	Overrule     Kind = "overrule"     // the centre decided otherwise
	Deletion     Kind = "deletion"     // a subject's data was destroyed
	Attack       Kind = "attack"       // a presentation or injection attack was seen
	Health       Kind = "health"       // the device's own state
	Purge        Kind = "purge"        // records were deleted unsent, by order
	Gap          Kind = "gap"          // sequence numbers that will never arrive
	Update       Kind = "update"       // an update was tried
	Audit        Kind = "audit"        // an audit event that the centre must see
)

// Kinds returns every kind, in an order that never changes: a kind's index is
// its code on disk.
func Kinds() []Kind {
	return []Kind{
		Verification, Enrolment, Review, Overrule, Deletion,
		Attack, Health, Purge, Gap, Update, Audit,
	}
}

// Valid reports whether k is one of Kinds.
func (k Kind) Valid() bool { return slices.Contains(Kinds(), k) }

// Envelope is a record's content: what the outbox assigns, and the caller's
// body. The field order is the order on the wire.
type Envelope struct {
	// Schema is the envelope's version; Sign fills in 0 as Schema.
	Schema int `json:"schema"`
	// Tenant and Device say whose record this is: 1 to 64 bytes of
	// letters, digits, '.', '_' and '-'.
	Tenant string `json:"tenant"`
	Device string `json:"device"`
	// Epoch is at least 1 and grows whenever the device may have lost its
	// place in the sequence.
	Epoch uint32 `json:"epoch"`
	// Seq is at least 1 and dense within an epoch.
	Seq uint64 `json:"seq"`
	// RID is the record's own identity, a UUIDv7 in lower case (RFC 9562).
	RID string `json:"rid"`
	// Prev is FormatDigest of the previous record of the epoch, or "" on
	// the epoch's first record, from which the collector learns where the
	// dense run begins.
	Prev string `json:"prev"`
	Kind Kind   `json:"kind"`
	// Body is a JSON object, carried verbatim in compact form.
	Body json.RawMessage `json:"body"`
}

// Validate returns an error wrapping ErrInvalid that names the first rule the
// envelope breaks.
func (e Envelope) Validate() error {
	switch {
	case e.Schema != Schema:
		return fmt.Errorf("%w: schema %d, want %d", ErrInvalid, e.Schema, Schema)
	case !ValidName(e.Tenant):
		return fmt.Errorf("%w: tenant must be 1 to %d of A-Z a-z 0-9 . _ -", ErrInvalid, maxName)
	case !ValidName(e.Device):
		return fmt.Errorf("%w: device must be 1 to %d of A-Z a-z 0-9 . _ -", ErrInvalid, maxName)
	case e.Epoch == 0:
		return fmt.Errorf("%w: epoch 0", ErrInvalid)
	case e.Seq == 0:
		return fmt.Errorf("%w: seq 0", ErrInvalid)
	case !ValidRID(e.RID):
		return fmt.Errorf("%w: rid is not a lower-case UUIDv7", ErrInvalid)
	case e.Prev != "" && !validDigest(e.Prev):
		return fmt.Errorf("%w: prev is not a base64url SHA-256", ErrInvalid)
	case e.Seq == 1 && e.Prev != "":
		return fmt.Errorf("%w: seq 1 has a predecessor", ErrInvalid)
	case !e.Kind.Valid():
		return fmt.Errorf("%w: unknown kind", ErrInvalid)
	case len(e.Body) == 0 || e.Body[0] != '{':
		return fmt.Errorf("%w: body is not a JSON object", ErrInvalid)
	}
	return nil
}

// ValidRID reports whether rid is a UUIDv7 in its canonical lower-case form.
func ValidRID(rid string) bool {
	id, err := uuid.Parse(rid)
	return err == nil && id.Version() == 7 && id.Variant() == uuid.RFC4122 && id.String() == rid
}

// FormatDigest returns the spelling of a digest inside records: base64url
// without padding, 43 characters.
func FormatDigest(d [32]byte) string {
	return base64.RawURLEncoding.EncodeToString(d[:])
}

// encode returns the one byte string that stands for e.
func (e Envelope) encode() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	raw, err := marshal(e)
	if err != nil {
		return nil, fmt.Errorf("%w: body is not JSON", ErrInvalid)
	}
	return raw, nil
}

// decodeEnvelope accepts only what encode produces. Comparing the bytes refuses
// unknown and doubled fields, other capitals, white space, trailing data and
// invalid UTF-8 with one rule.
func decodeEnvelope(raw []byte) (Envelope, error) {
	var e Envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: envelope is not JSON of the expected types", ErrInvalid)
	}
	again, err := e.encode()
	if err != nil {
		return Envelope{}, err
	}
	if !bytes.Equal(raw, again) {
		return Envelope{}, fmt.Errorf("%w: envelope is not in its canonical form (unknown, doubled or reordered field, or white space)", ErrInvalid)
	}
	return e, nil
}

// marshal is json.Marshal without HTML escaping, which would alter the caller's
// body.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// ValidName reports whether s can be the name of a tenant or a device.
func ValidName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func validDigest(s string) bool {
	d, err := strictBase64(s)
	return err == nil && len(d) == 32
}
