package record

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Types of what a collector signs: the typ headers of its JWS.
const (
	ReceiptType = "idv-receipt+v1"
	TimeType    = "idv-time+v1"
)

const (
	// MaxReceiptBytes bounds one signed receipt; one for a full batch stays
	// below it whatever its content.
	MaxReceiptBytes  = 64<<10 - 256
	maxRejectionCode = 32
	// maxCollectorKeys are valid at once: the one in use, and the one before
	// or after it.
	maxCollectorKeys = 2
)

var (
	// ErrReceipt marks bytes that are no receipt of a known collector. They
	// acknowledge nothing.
	ErrReceipt = errors.New("receipt not valid")
	// ErrReceiptForeign marks a validly signed receipt that names another
	// tenant or device: misrouting or an attack, never an acknowledgement. An
	// error that wraps it wraps ErrReceipt too.
	ErrReceiptForeign = errors.New("receipt is for another device")
)

// A Receipt is the collector's word on the records of one batch, given after
// its own durable commit.
type Receipt struct {
	Tenant string        `json:"tenant"`
	Device string        `json:"device"`
	Items  []ReceiptItem `json:"items"`
	// CommitID names the transaction at the collector, for its operators.
	CommitID string `json:"collector_commit_id"`
	// Time is the collector's clock at the commit, in UTC.
	Time time.Time `json:"t"`
}

// A ReceiptItem answers one record.
type ReceiptItem struct {
	Epoch  uint32    `json:"epoch"`
	Seq    uint64    `json:"seq"`
	SHA256 HexDigest `json:"sha256"`
	Status AckStatus `json:"status"`
	Code   string    `json:"code,omitempty"`
}

// HexDigest is a record's digest as receipts spell it: 64 hexadecimal digits.
type HexDigest [32]byte

// MarshalText implements encoding.TextMarshaler.
func (d HexDigest) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, d[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *HexDigest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("digest of %d characters, want %d", len(text), hex.EncodedLen(len(d)))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// Acknowledgements returns the receipt's items as the outbox takes them. Call
// it on what VerifyReceipt returned.
func (r Receipt) Acknowledgements() []Acknowledgement {
	acks := make([]Acknowledgement, len(r.Items))
	for i, item := range r.Items {
		acks[i] = Acknowledgement{
			Epoch:  item.Epoch,
			Seq:    item.Seq,
			Digest: item.SHA256,
			Status: item.Status,
			Code:   item.Code,
		}
	}
	return acks
}

func (r Receipt) validate() error {
	switch {
	case !ValidName(r.Tenant):
		return errors.New("tenant is not a name")
	case !ValidName(r.Device):
		return errors.New("device is not a name")
	case len(r.Items) == 0 || len(r.Items) > MaxBatchRecords:
		return fmt.Errorf("%d items, want 1 to %d", len(r.Items), MaxBatchRecords)
	case len(r.CommitID) > maxName:
		return fmt.Errorf("commit id of %d bytes, at most %d", len(r.CommitID), maxName)
	}
	for i, item := range r.Items {
		switch item.Status {
		case Stored, Duplicate:
			if item.Code != "" {
				return fmt.Errorf("item %d: code with status %s", i, item.Status)
			}
		case Rejected:
			if len(item.Code) > maxRejectionCode || !ValidName(item.Code) {
				return fmt.Errorf("item %d: code is not a name of at most %d bytes", i, maxRejectionCode)
			}
		default:
			return fmt.Errorf("item %d: unknown status", i)
		}
	}
	return nil
}

// SignReceipt returns r as a JWS in compact form, signed by the collector's
// key: EdDSA, typ ReceiptType, kid KeyID of the public key.
func SignReceipt(r Receipt, key ed25519.PrivateKey) ([]byte, error) {
	r.Time = r.Time.UTC()
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("sign receipt: %w: %w", ErrReceipt, err)
	}
	raw, err := signStatement(ReceiptType, r, key)
	if err != nil {
		return nil, fmt.Errorf("sign receipt: %w", err)
	}
	return raw, nil
}

// VerifyReceipt returns the receipt raw if one of the collector's keys signed
// it and it is for this tenant and device. It accepts no key, key address or
// algorithm from the receipt itself. An error wraps ErrReceipt; one for another
// device wraps ErrReceiptForeign as well and deserves an alarm.
func VerifyReceipt(raw []byte, keys CollectorKeys, tenant, device string) (Receipt, error) {
	payload, err := verifyStatement(ReceiptType, raw, keys)
	if err != nil {
		return Receipt{}, fmt.Errorf("verify receipt: %w: %w", ErrReceipt, err)
	}
	var r Receipt
	if err := json.Unmarshal(payload, &r); err != nil {
		return Receipt{}, fmt.Errorf("verify receipt: %w: payload is not of the expected form", ErrReceipt)
	}
	if err := r.validate(); err != nil {
		return Receipt{}, fmt.Errorf("verify receipt: %w: %w", ErrReceipt, err)
	}
	if r.Tenant != tenant || r.Device != device {
		return Receipt{}, fmt.Errorf("verify receipt: %w: %w", ErrReceipt, ErrReceiptForeign)
	}
	return r, nil
}

func signStatement(typ string, statement any, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("no Ed25519 key")
	}
	payload, err := marshal(statement)
	if err != nil {
		return nil, err
	}
	kid, err := KeyID(key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: opaque{key: key, kid: kid}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)),
	)
	if err != nil {
		return nil, err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		return nil, err
	}
	return []byte(raw), nil
}
