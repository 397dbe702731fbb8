package record

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// header is the protected header of every record, in the order on the wire.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// Sign returns the bytes of the record e, signed by an Ed25519 key that may
// live in hardware. Its kid is KeyID of the public key. The body is compacted;
// the same envelope and key give the same bytes always. An envelope that breaks
// a rule, or a record above MaxSize, gives an error wrapping ErrInvalid.
func Sign(e Envelope, key crypto.Signer) ([]byte, error) {
	if e.Schema == 0 {
		e.Schema = Schema
	}
	payload, err := e.encode()
	if err != nil {
		return nil, fmt.Errorf("sign record: %w", err)
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("sign record: key of type %T, want Ed25519", key.Public())
	}
	kid, err := KeyID(pub)
	if err != nil {
		return nil, fmt.Errorf("sign record: %w", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: opaque{key: key, kid: kid}},
		(&jose.SignerOptions{}).WithType(Type),
	)
	if err != nil {
		return nil, fmt.Errorf("sign record: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("sign record: %w", err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("sign record: %w", err)
	}
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("sign record: %w: %d bytes, at most %d", ErrInvalid, len(raw), MaxSize)
	}
	return []byte(raw), nil
}

// Verify returns the envelope of raw after checking its form, its signature and
// its fields, in this order of cost. It asks keys for the public key of the kid
// that the header names and accepts no key from the record itself. An error
// wraps ErrInvalid, ErrUnknownKey or ErrSignature; what keys returns otherwise
// is wrapped as it is, so that a key store out of order is not held against the
// record.
func Verify(raw []byte, keys func(kid string) (crypto.PublicKey, error)) (Envelope, error) {
	e, err := verify(raw, keys)
	if err != nil {
		return Envelope{}, fmt.Errorf("verify record: %w", err)
	}
	return e, nil
}

func verify(raw []byte, keys func(kid string) (crypto.PublicKey, error)) (Envelope, error) {
	if len(raw) > MaxSize {
		return Envelope{}, fmt.Errorf("%w: %d bytes, at most %d", ErrInvalid, len(raw), MaxSize)
	}
	parts := bytes.Split(raw, []byte("."))
	if len(parts) != 3 {
		return Envelope{}, fmt.Errorf("%w: not a JWS in compact form", ErrInvalid)
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := strictBase64(string(part))
		if err != nil {
			return Envelope{}, fmt.Errorf("%w: part %d is not canonical base64url", ErrInvalid, i+1)
		}
		decoded[i] = b
	}
	kid, err := decodeHeader(decoded[0])
	if err != nil {
		return Envelope{}, err
	}
	key, err := keys(kid)
	if err != nil {
		return Envelope{}, fmt.Errorf("key of the record: %w", err)
	}
	pub, ok := key.(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return Envelope{}, fmt.Errorf("%w: key of type %T, want Ed25519", ErrUnknownKey, key)
	}
	if id, err := KeyID(pub); err != nil || id != kid {
		return Envelope{}, fmt.Errorf("%w: kid is not the thumbprint of the key", ErrUnknownKey)
	}
	jws, err := jose.ParseSignedCompact(string(raw), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	payload, err := jws.Verify(pub)
	if err != nil {
		return Envelope{}, ErrSignature
	}
	return decodeEnvelope(payload)
}

// Peek returns the envelope of a record whose origin is known by other means,
// such as the device's own sealed store. It checks form and fields, but NOT the
// signature.
func Peek(raw []byte) (Envelope, error) {
	parts := bytes.Split(raw, []byte("."))
	if len(raw) > MaxSize || len(parts) != 3 {
		return Envelope{}, fmt.Errorf("read record: %w: not a JWS in compact form", ErrInvalid)
	}
	payload, err := strictBase64(string(parts[1]))
	if err != nil {
		return Envelope{}, fmt.Errorf("read record: %w: payload is not canonical base64url", ErrInvalid)
	}
	e, err := decodeEnvelope(payload)
	if err != nil {
		return Envelope{}, fmt.Errorf("read record: %w", err)
	}
	return e, nil
}

// Digest returns the SHA-256 of a record's bytes: its name in receipts, and in
// the prev of its successor.
func Digest(raw []byte) [32]byte { return sha256.Sum256(raw) }

// KeyID returns the RFC 7638 thumbprint (SHA-256, base64url) of an Ed25519
// public key.
func KeyID(pub crypto.PublicKey) (string, error) {
	k, ok := pub.(ed25519.PublicKey)
	if !ok || len(k) != ed25519.PublicKeySize {
		return "", fmt.Errorf("key id: key of type %T, want Ed25519", pub)
	}
	sum, err := (&jose.JSONWebKey{Key: k}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("key id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// decodeHeader returns the kid of a protected header and accepts nothing but
// the three members that Sign writes: alg none or HS256, embedded keys (jwk,
// jku, x5u, x5c), crit and everything else fail on the comparison.
func decodeHeader(raw []byte) (string, error) {
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		return "", fmt.Errorf("%w: header is not JSON", ErrInvalid)
	}
	want, err := marshal(header{Alg: string(jose.EdDSA), Kid: h.Kid, Typ: Type})
	if err != nil {
		return "", fmt.Errorf("%w: header", ErrInvalid)
	}
	if !bytes.Equal(raw, want) {
		return "", fmt.Errorf("%w: header must hold exactly alg EdDSA, kid and typ %s", ErrInvalid, Type)
	}
	if !validDigest(h.Kid) {
		return "", fmt.Errorf("%w: kid is not a key thumbprint", ErrInvalid)
	}
	return h.Kid, nil
}

// strictBase64 decodes base64url without padding and refuses the spellings that
// encoding/base64 tolerates: line breaks, and non-zero trailing bits.
func strictBase64(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, err
	}
	if base64.RawURLEncoding.EncodedLen(len(b)) != len(s) {
		return nil, errors.New("line break in base64")
	}
	return b, nil
}

// opaque lets go-jose sign with any crypto.Signer that holds an Ed25519 key.
type opaque struct {
	key crypto.Signer
	kid string
}

func (o opaque) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{Key: o.key.Public(), KeyID: o.kid, Algorithm: string(jose.EdDSA)}
}

func (o opaque) Algs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.EdDSA}
}

func (o opaque) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	return o.key.Sign(nil, payload, crypto.Hash(0))
}
