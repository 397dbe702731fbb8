package identity

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"
	"github.com/gofrs/flock"
)

// Files of the folder. The marker says that keys were made here once: keys that
// are missing beside it were lost, and new ones would be another device that
// cannot open this one's data. It has another name while the keys are made, and
// keys beside that name were never handed out.
const (
	signingFile = "signing.pem" // PKCS#8, Ed25519
	dataFile    = "data.key"    // PEM, 32 random bytes
	markerFile  = "device"      // the device's name
	makingFile  = "device.new"  // the marker of keys that are being made
	lockFile    = "keys.lock"
)

// PEM types.
const (
	signingBlock = "PRIVATE KEY"
	dataBlock    = "EDGEVERIFY DATA KEY"
)

// dataKeySize is the size of the key that all sealers derive from, in bytes.
const dataKeySize = 32

var (
	// ErrPermissions means that others than the owner may read or change a
	// key file, or its folder.
	ErrPermissions = errors.New("key file is open to others")
	// ErrCorrupt means that a key file does not hold what it should.
	ErrCorrupt = errors.New("key file is corrupt")
	// ErrKeysLost means that a folder that held keys lacks some of them.
	ErrKeysLost = errors.New("device keys are missing")
)

// Keys are the opened keys of a device, safe for concurrent use.
type Keys struct {
	signer Signer
	data   []byte
	device string
}

// Open reads the keys in dir. In a folder that never held any it makes them, so
// that a power cut leaves all of them or a start that makes them again.
//
// It creates keys nowhere else: where the marker or one key is present but the
// other is not, it returns ErrKeysLost; a file that others may read gives
// ErrPermissions, one that does not parse ErrCorrupt. Each error names the file.
// A lost marker is written again from the keys.
func Open(dir string) (*Keys, error) {
	k, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open device keys: %w", err)
	}
	return k, nil
}

func open(dir string) (_ *Keys, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkPrivate(dir); err != nil {
		return nil, err
	}
	// Two processes that start together must not make two devices.
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()

	k, err := load(dir)
	if err != nil {
		return nil, err
	}
	if err := checkMarker(dir, k.device); err != nil {
		return nil, err
	}
	return k, nil
}

// load reads the keys, after making them where there never were any.
func load(dir string) (*Keys, error) {
	known, err := held(dir)
	if err != nil {
		return nil, err
	}
	if !known {
		if err := create(dir); err != nil {
			return nil, err
		}
	}
	return read(dir)
}

// held reports whether the folder holds, or held, keys that were handed out.
func held(dir string) (bool, error) {
	marked, err := exists(dir, markerFile)
	if marked || err != nil {
		return marked, err
	}
	// Without the marker, keys beside makingFile are what an interrupted first
	// start left; without that too, the marker was lost.
	making, err := exists(dir, makingFile)
	if making || err != nil {
		return false, err
	}
	return exists(dir, signingFile, dataFile)
}

// exists reports whether the folder has any of the files.
func exists(dir string, names ...string) (bool, error) {
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// create makes the keys between writing the marker under another name and
// giving it its own: an interrupted start is known by that name.
func create(dir string) error {
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signing)
	if err != nil {
		return err
	}
	data := make([]byte, dataKeySize)
	if _, err := rand.Read(data); err != nil {
		return err
	}
	kid, err := thumbprint(signing)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{makingFile, marker(deviceName(kid))},
		{signingFile, pem.EncodeToMemory(&pem.Block{Type: signingBlock, Bytes: pkcs8})},
		{dataFile, pem.EncodeToMemory(&pem.Block{Type: dataBlock, Bytes: data})},
	} {
		if err := writeDurably(filepath.Join(dir, f.name), f.content); err != nil {
			return err
		}
	}
	return renameDurably(filepath.Join(dir, makingFile), filepath.Join(dir, markerFile))
}

// read reads the two keys; the marker has no part in it.
func read(dir string) (*Keys, error) {
	pkcs8, err := readBlock(filepath.Join(dir, signingFile), signingBlock)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	signing, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: %s holds no Ed25519 key in PKCS#8", ErrCorrupt, signingFile)
	}
	data, err := readBlock(filepath.Join(dir, dataFile), dataBlock)
	if err != nil {
		return nil, err
	}
	if len(data) != dataKeySize {
		return nil, fmt.Errorf("%w: %s holds %d bytes, want %d", ErrCorrupt, dataFile, len(data), dataKeySize)
	}
	kid, err := thumbprint(signing)
	if err != nil {
		return nil, err
	}
	return &Keys{signer: Signer{key: signing, kid: kid}, data: data, device: deviceName(kid)}, nil
}

// checkMarker holds the marker against the keys, and writes it where it was lost.
func checkMarker(dir, device string) error {
	path := filepath.Join(dir, markerFile)
	present, err := exists(dir, markerFile)
	if err != nil {
		return err
	}
	if !present {
		return writeDurably(path, marker(device))
	}
	raw, err := readPrivate(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, marker(device)) {
		return fmt.Errorf("%w: %s names another device than %s", ErrCorrupt, markerFile, signingFile)
	}
	return nil
}

func marker(device string) []byte { return []byte(device + "\n") }

// readBlock returns the content of the only PEM block of a key file.
func readBlock(path, kind string) ([]byte, error) {
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != kind || len(rest) != 0 {
		return nil, fmt.Errorf("%w: %s holds no single PEM block %q", ErrCorrupt, filepath.Base(path), kind)
	}
	return block.Bytes, nil
}

// Signer returns the signing key. Its public half is an ed25519.PublicKey.
func (k *Keys) Signer() Signer { return k.signer }

// Public returns the public half of the signing key.
func (k *Keys) Public() ed25519.PublicKey {
	return k.signer.key.Public().(ed25519.PublicKey)
}

// Device returns the device's name: "dev-" and the first 128 bits of the
// signing key's thumbprint, so that no two devices and no two keys share one.
func (k *Keys) Device() string { return k.device }

// Assurance says where the keys live: "low" for files.
func (k *Keys) Assurance() string { return "low" }

// Signer signs as the device. It implements crypto.Signer and does not give its
// key away when printed.
type Signer struct {
	key ed25519.PrivateKey
	kid string
}

// Public returns an ed25519.PublicKey.
func (s Signer) Public() crypto.PublicKey { return s.key.Public() }

// Sign signs message itself, not a digest of it: opts.HashFunc must be 0, as for
// ed25519.PrivateKey.
func (s Signer) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.key.Sign(nil, message, opts)
}

// KeyID returns the RFC 7638 thumbprint (SHA-256, base64url) of the public key.
func (s Signer) KeyID() string { return s.kid }

// String keeps the key out of logs.
func (s Signer) String() string { return "identity.Signer" }

// GoString keeps the key out of logs.
func (s Signer) GoString() string { return s.String() }

func thumbprint(key ed25519.PrivateKey) (string, error) {
	jwk := jose.JSONWebKey{Key: key.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("key thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

func deviceName(kid string) string {
	sum, err := base64.RawURLEncoding.DecodeString(kid)
	if err != nil || len(sum) < 16 {
		return ""
	}
	return fmt.Sprintf("dev-%x", sum[:16])
}

// String keeps the keys out of logs.
func (k Keys) String() string { return "identity.Keys of " + k.device }

// GoString keeps the keys out of logs.
func (k Keys) GoString() string { return k.String() }
