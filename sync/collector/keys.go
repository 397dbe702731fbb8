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

	"github.com/google/renameio/v2"
)

const (
	keyFile = "receipt.key"
	// nextKeyFile announces a key before it signs. To change keys: put the
	// next one there, wait until every device has it, and rename it over
	// keyFile.
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

func loadSigningKeys(dir string) (signingKeys, error) {
	var keys signingKeys
	path := filepath.Join(dir, keyFile)
	current, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		current, err = createKey(path)
	}
	if err != nil {
		return signingKeys{}, err
	}
	keys.current = current
	next, err := readKey(filepath.Join(dir, nextKeyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return signingKeys{}, err
	}
	keys.next = next
	return keys, nil
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
// after a power cut: a lost key would make every receipt given so far
// unverifiable.
func createKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	if err := renameio.WriteFile(path, block, 0o600, renameio.IgnoreUmask()); err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	return key, syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
