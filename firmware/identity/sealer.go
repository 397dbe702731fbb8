package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrSeal means that a ciphertext was not made by this device, for this purpose
// and with this associated data, or was altered since.
var ErrSeal = errors.New("sealed value does not open")

// Sealer encrypts values at rest with AES-256-GCM under a key of its own
// purpose. It is safe for concurrent use.
type Sealer struct {
	purpose string
	aead    tink.AEAD
}

// Sealer returns the sealer for a purpose, such as "outbox" or "vault". Its key
// is derived from the data key by HKDF-SHA-256 (RFC 5869), so that nothing
// sealed for one purpose opens under another.
func (k *Keys) Sealer(purpose string) (*Sealer, error) {
	if purpose == "" {
		return nil, errors.New("sealer without a purpose")
	}
	key, err := hkdf.Key(sha256.New, k.data, nil, "edgeverify/v1/seal/"+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of sealer %s: %w", purpose, err)
	}
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, fmt.Errorf("make sealer %s: %w", purpose, err)
	}
	return &Sealer{purpose: purpose, aead: aead}, nil
}

// Seal encrypts plaintext and binds aad to it. The result is 28 bytes longer
// than the plaintext: a random 96-bit nonce before, the tag behind. The nonce
// bounds one key to about 2^32 values, more than a store writes in its life.
func (s *Sealer) Seal(plaintext, aad []byte) ([]byte, error) {
	c, err := s.aead.Encrypt(plaintext, aad)
	if err != nil {
		return nil, fmt.Errorf("seal for %s: %w", s.purpose, err)
	}
	return c, nil
}

// Open returns the plaintext of what Seal made with the same aad, or ErrSeal.
func (s *Sealer) Open(ciphertext, aad []byte) ([]byte, error) {
	p, err := s.aead.Decrypt(ciphertext, aad)
	if err != nil {
		return nil, fmt.Errorf("open for %s: %w", s.purpose, ErrSeal)
	}
	return p, nil
}
