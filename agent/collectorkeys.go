package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/edgeverify/edgeverify/firmware/identity"
	"github.com/edgeverify/edgeverify/sync/https"
	"github.com/edgeverify/edgeverify/sync/record"
)

const publicKeyPEM = "PUBLIC KEY"

// WritePublicKeys writes Ed25519 keys as PEM, one block each.
func WritePublicKeys(keys []ed25519.PublicKey) ([]byte, error) {
	var out bytes.Buffer
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("encode a public key: %w", err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: publicKeyPEM, Bytes: der}); err != nil {
			return nil, fmt.Errorf("encode a public key: %w", err)
		}
	}
	return out.Bytes(), nil
}

// ReadPublicKeys reads what WritePublicKeys wrote; at least one key.
func ReadPublicKeys(text []byte) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	block, rest := pem.Decode(text)
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != publicKeyPEM {
			return nil, fmt.Errorf("a PEM block of type %q where %q was expected", block.Type, publicKeyPEM)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse a public key: %w", err)
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("a key of type %T, want Ed25519", parsed)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("not all of it is a %s in PEM", publicKeyPEM)
	}
	return keys, nil
}

// readCollectorKeys reads the keys whose receipts count.
func readCollectorKeys(path string) (record.CollectorKeys, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return record.CollectorKeys{}, fmt.Errorf("uplink.collector_keys: %w", err)
	}
	keys, err := ReadPublicKeys(text)
	if err != nil {
		return record.CollectorKeys{}, fmt.Errorf("uplink.collector_keys: %s: %w", path, err)
	}
	return record.NewCollectorKeys(keys...)
}

// Introduce makes the device's key known to the collector of the configuration
// by a claim token and returns the collector's receipt keys in PEM.
func Introduce(ctx context.Context, c Config, keys *identity.Keys, claim string) ([]byte, error) {
	secure, err := c.Uplink.tls()
	if err != nil {
		return nil, err
	}
	known, err := https.Enrol(ctx, https.Enrolment{
		URL: c.Uplink.URL, TLS: secure, Tenant: c.Tenant, Device: keys.Device(), PublicKey: keys.Public(), ClaimToken: claim,
	})
	if err != nil {
		return nil, err
	}
	return WritePublicKeys(known.Public())
}
