package record

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// timeStatement is what GET /v1/time signs. The nonce is the asker's, so that
// an old answer cannot be played again.
type timeStatement struct {
	Time  time.Time `json:"t"`
	Nonce string    `json:"nonce"`
}

// SignTime returns the collector's clock and the asker's nonce (1 to 64 bytes
// of letters, digits, '.', '_' and '-') as a JWS of typ TimeType.
func SignTime(t time.Time, nonce string, key ed25519.PrivateKey) ([]byte, error) {
	if !ValidName(nonce) {
		return nil, errors.New("sign time: nonce must be 1 to 64 of A-Z a-z 0-9 . _ -")
	}
	raw, err := signStatement(TimeType, timeStatement{Time: t.UTC(), Nonce: nonce}, key)
	if err != nil {
		return nil, fmt.Errorf("sign time: %w", err)
	}
	return raw, nil
}

// VerifyTime returns the collector's clock from raw, which must answer nonce.
// An error wraps ErrReceipt.
func VerifyTime(raw []byte, keys CollectorKeys, nonce string) (time.Time, error) {
	payload, err := verifyStatement(TimeType, raw, keys)
	if err != nil {
		return time.Time{}, fmt.Errorf("verify time: %w: %w", ErrReceipt, err)
	}
	var s timeStatement
	if err := json.Unmarshal(payload, &s); err != nil {
		return time.Time{}, fmt.Errorf("verify time: %w: payload is not of the expected form", ErrReceipt)
	}
	if nonce == "" || s.Nonce != nonce {
		return time.Time{}, fmt.Errorf("verify time: %w: answers another nonce", ErrReceipt)
	}
	return s.Time, nil
}
