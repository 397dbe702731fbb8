package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// keys are what the data key gives: an AEAD for values and a keyed hash for the
// keys of personal entries.
type keys struct {
	aead  tink.AEAD
	index []byte
}

const dataKeySize = 32

// newDataKey makes a data key and returns it wrapped by the device's key.
func newDataKey(device Sealer) ([]byte, error) {
	key := make([]byte, dataKeySize)
	_, _ = rand.Read(key) // never returns an error, crypto/rand says
	wrapped, err := device.Seal(key, aad(bucketMeta, []byte(keyDataKey)))
	if err != nil {
		return nil, fmt.Errorf("wrap the data key: %w", err)
	}
	return wrapped, nil
}

// unwrap returns the keys, or ErrWrongKey.
func unwrap(device Sealer, wrapped []byte) (*keys, error) {
	data, err := device.Open(wrapped, aad(bucketMeta, []byte(keyDataKey)))
	if err != nil || len(data) != dataKeySize {
		return nil, ErrWrongKey
	}
	value, err := hkdf.Key(sha256.New, data, nil, "edgeverify/v1/vault/values", dataKeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the value key: %w", err)
	}
	index, err := hkdf.Key(sha256.New, data, nil, "edgeverify/v1/vault/index", dataKeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the index key: %w", err)
	}
	// XChaCha20-Poly1305: its 192-bit random nonces never run out.
	aead, err := subtle.NewXChaCha20Poly1305(value)
	if err != nil {
		return nil, fmt.Errorf("make the value key: %w", err)
	}
	return &keys{aead: aead, index: index}, nil
}

// aad binds a value to its place, so that no ciphertext can be moved to another
// key, bucket or schema. Bucket names have no NUL and the schema is one byte, so
// that no two places share an aad.
func aad(bucket string, key []byte) []byte {
	out := append([]byte(bucket), 0)
	out = append(out, key...)
	return append(out, schema)
}

// seal returns the JSON of value, encrypted for its place.
func (k *keys) seal(bucket string, key []byte, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode for %s: %w", bucket, err)
	}
	sealed, err := k.aead.Encrypt(plain, aad(bucket, key))
	if err != nil {
		return nil, fmt.Errorf("seal for %s: %w", bucket, err)
	}
	return sealed, nil
}

// open reverses seal. What does not open was damaged or moved.
func (k *keys) open(bucket string, key, sealed []byte, value any) error {
	plain, err := k.aead.Decrypt(sealed, aad(bucket, key))
	if err != nil {
		return fmt.Errorf("%w: a value in %s does not open", ErrDamaged, bucket)
	}
	if err := json.Unmarshal(plain, value); err != nil {
		// The error of the decoder could quote the value.
		return fmt.Errorf("%w: a value in %s does not decode", ErrDamaged, bucket)
	}
	return nil
}

// account returns the key of an account's entries: an integrator's account name
// may be a person's.
func (k *keys) account(name string) []byte {
	mac := hmac.New(sha256.New, k.index)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}
