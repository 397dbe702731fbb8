package collector

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	keyFile = "receipt.key"
	// nextKeyFile announces a key before it signs. To change keys: put the
	// next one there, give every enrolled device the file of both public keys
	// (uplink.collector_keys), because a device learns keys by itself only
	// when it enrols, and then rename it over keyFile.
	nextKeyFile = "receipt.next.key"
	pemType     = "PRIVATE KEY"
)

// signingKeys are the key that signs receipts and, if there is one, the next.
type signingKeys struct {
	current ed25519.PrivateKey
	next    ed25519.PrivateKey
}

func (k signingKeys) public() []ed25519.PublicKey {
	keys := []ed25519.PublicKey{k.current.Public().(ed25519.PublicKey)}
	if k.next != nil {
		keys = append(keys, k.next.Public().(ed25519.PublicKey))
	}
	return keys
}

// ensureKey makes the key that signs receipts in the folder of a collector that
// has no store yet, unless it is there: an operator may bring one.
func ensureKey(dir string) error {
	path := filepath.Join(dir, keyFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createKey(path); err != nil {
		return fmt.Errorf("create key file: %w", err)
	}
	return nil
}

// loadSigningKeys reads the keys and makes none: beside a store, devices were
// given the key that is missing, and would refuse every receipt of a new one.
func loadSigningKeys(dir string) (signingKeys, error) {
	path := filepath.Join(dir, keyFile)
	current, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return signingKeys{}, fmt.Errorf("key file %s is missing beside the store: restore it from a backup; "+
			"if it is lost, put an Ed25519 key there (PKCS #8 in PEM, mode 0600) and give its public half to every device", path)
	}
	if err != nil {
		return signingKeys{}, err
	}
	next, err := readKey(filepath.Join(dir, nextKeyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return signingKeys{}, err
	}
	return signingKeys{current: current, next: next}, nil
}

func readKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s: mode %04o lets others in, want 0600", path, info.Mode().Perm())
	}
	buf := make([]byte, 4096)
	n, err := f.Read(buf)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	block, _ := pem.Decode(buf[:n])
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("key file %s: no PEM block %s", path, pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key file %s: not a PKCS #8 key", path)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key file %s: key of type %T, want Ed25519", path, parsed)
	}
	return key, nil
}

// createKey writes a new key so that the file is either whole or absent, also
// after a power cut, and never replaces one that another process made meanwhile:
// a lost key would make every receipt given so far unverifiable.
func createKey(path string) (err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+keyFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if err := errors.Join(pem.Encode(f, &pem.Block{Type: pemType, Bytes: der}), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
