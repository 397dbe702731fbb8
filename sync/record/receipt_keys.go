package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// CollectorKeys are the public keys whose receipts a device believes: one, or
// two while the collector changes keys. The zero value believes none.
type CollectorKeys struct {
	byID map[string]ed25519.PublicKey
}

// NewCollectorKeys returns the set of one or two Ed25519 keys.
func NewCollectorKeys(keys ...ed25519.PublicKey) (CollectorKeys, error) {
	if len(keys) == 0 || len(keys) > maxCollectorKeys {
		return CollectorKeys{}, fmt.Errorf("collector keys: %d given, want 1 to %d", len(keys), maxCollectorKeys)
	}
	byID := make(map[string]ed25519.PublicKey, len(keys))
	for i, key := range keys {
		if len(key) != ed25519.PublicKeySize {
			return CollectorKeys{}, fmt.Errorf("collector keys: key %d has %d bytes, want %d", i+1, len(key), ed25519.PublicKeySize)
		}
		id, err := KeyID(key)
		if err != nil {
			return CollectorKeys{}, fmt.Errorf("collector keys: %w", err)
		}
		byID[id] = slices.Clone(key)
	}
	return CollectorKeys{byID: byID}, nil
}

// IDs returns the KeyID of every key, sorted.
func (k CollectorKeys) IDs() []string {
	return slices.Sorted(maps.Keys(k.byID))
}

// Public returns the keys in the order of IDs.
func (k CollectorKeys) Public() []ed25519.PublicKey {
	var keys []ed25519.PublicKey
	for _, id := range k.IDs() {
		keys = append(keys, slices.Clone(k.byID[id]))
	}
	return keys
}

// verifyStatement returns the payload of a JWS that one of keys signed. The
// header must be, to the byte, the one that signStatement writes: that leaves
// no room for another algorithm, an embedded key, a key address or a critical
// extension.
func verifyStatement(typ string, raw []byte, keys CollectorKeys) ([]byte, error) {
	if len(raw) > MaxReceiptBytes {
		return nil, fmt.Errorf("%d bytes, at most %d", len(raw), MaxReceiptBytes)
	}
	first, _, ok := bytes.Cut(raw, []byte("."))
	if !ok {
		return nil, errors.New("not a JWS in compact form")
	}
	headerBytes, err := strictBase64(string(first))
	if err != nil {
		return nil, errors.New("header is not canonical base64url")
	}
	var h header
	if err := json.Unmarshal(headerBytes, &h); err != nil {
		return nil, errors.New("header is not JSON")
	}
	want, err := marshal(header{Alg: string(jose.EdDSA), Kid: h.Kid, Typ: typ})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(headerBytes, want) {
		return nil, fmt.Errorf("header must hold exactly alg EdDSA, kid and typ %s", typ)
	}
	key, ok := keys.byID[h.Kid]
	if !ok {
		return nil, errors.New("signed by a key that is not the collector's")
	}
	jws, err := jose.ParseSignedCompact(string(raw), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, errors.New("not a JWS in compact form")
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, errors.New("signature does not verify")
	}
	return payload, nil
}
