package collector

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/edgeverify/edgeverify/sync/record"
	"go.etcd.io/bbolt"
)

// maxDeviceKeys bounds the keys of one device: the one in use and one beside it
// while keys change.
const maxDeviceKeys = 2

var (
	// ErrUnknownDevice marks a device that is not registered, or revoked.
	ErrUnknownDevice = errors.New("device not registered")
	// ErrClaim marks a claim token that is unknown or was used by another device.
	ErrClaim = errors.New("claim token not accepted")
	// ErrDeviceKnown marks an enrolment of a device that has other keys, or
	// that was revoked.
	ErrDeviceKnown = errors.New("device is registered with another key")
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// deviceKeys maps the kid of a record to the key that must have signed it.
type deviceKeys map[string]ed25519.PublicKey

// device returns the keys of a registered device, or ErrUnknownDevice.
func (s *store) device(tenant, device string) (deviceKeys, error) {
	var registered [][]byte
	err := s.db.View(func(tx *bbolt.Tx) error {
		registered = splitKeys(tx.Bucket(bucketDevices).Get(devicePrefix(tenant, device)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(registered) == 0 {
		return nil, ErrUnknownDevice
	}
	keys := make(deviceKeys, len(registered))
	for _, k := range registered {
		kid, err := record.KeyID(ed25519.PublicKey(k))
		if err != nil {
			return nil, err
		}
		keys[kid] = k
	}
	return keys, nil
}

// tenantsOf returns the tenants that have a device of this name.
func (s *store) tenantsOf(device string) ([]string, error) {
	var tenants []string
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketDevices).ForEach(func(k, _ []byte) error {
			if tenant, rest, _ := bytes.Cut(k, []byte{0}); string(rest) == device+"\x00" {
				tenants = append(tenants, string(tenant))
			}
			return nil
		})
	})
	return tenants, err
}

func (s *store) addDevice(tenant, device string, key ed25519.PublicKey) error {
	if err := checkDevice(tenant, device, key); err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDevices)
		prefix := devicePrefix(tenant, device)
		keys := splitKeys(b.Get(prefix))
		if slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			return nil
		}
		if len(keys) >= maxDeviceKeys {
			return fmt.Errorf("device has %d keys already", len(keys))
		}
		return b.Put(prefix, append(bytes.Join(keys, nil), key...))
	})
}

// revokeDevice leaves an entry without keys, which keeps the name taken.
func (s *store) revokeDevice(tenant, device string) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDevices)
		prefix := devicePrefix(tenant, device)
		if b.Get(prefix) == nil {
			return ErrUnknownDevice
		}
		return b.Put(prefix, []byte{})
	})
}

// claimDevice registers a device that presents a claim token, once per token.
// Asking again with the same token, name and key changes nothing, because the
// first answer may have been lost.
func (s *store) claimDevice(tenant, device string, key ed25519.PublicKey, claim string) error {
	if err := checkDevice(tenant, device, key); err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		devices, claims := tx.Bucket(bucketDevices), tx.Bucket(bucketClaims)
		prefix := devicePrefix(tenant, device)
		token := sha256.Sum256([]byte(claim))
		if user := claims.Get(token[:]); user != nil && !bytes.Equal(user, prefix) {
			return ErrClaim
		}
		if known := devices.Get(prefix); known != nil {
			if bytes.Equal(known, key) {
				return nil
			}
			return ErrDeviceKnown
		}
		if err := devices.Put(prefix, key); err != nil {
			return err
		}
		return claims.Put(token[:], prefix)
	})
}

func checkDevice(tenant, device string, key ed25519.PublicKey) error {
	switch {
	case !namePattern.MatchString(tenant):
		return errors.New("tenant must be 1 to 64 of A-Z a-z 0-9 . _ -")
	case !namePattern.MatchString(device):
		return errors.New("device must be 1 to 64 of A-Z a-z 0-9 . _ -")
	case len(key) != ed25519.PublicKeySize:
		return fmt.Errorf("public key of %d bytes, want %d", len(key), ed25519.PublicKeySize)
	}
	return nil
}

// splitKeys copies the keys out of a register entry, which is their bytes one
// after the other.
func splitKeys(entry []byte) [][]byte {
	var keys [][]byte
	for k := range slices.Chunk(entry, ed25519.PublicKeySize) {
		keys = append(keys, bytes.Clone(k))
	}
	return keys
}
