package identity_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/edgeverify/edgeverify/firmware/identity"
	"github.com/edgeverify/edgeverify/sync/record"
)

func open(t *testing.T, dir string) *identity.Keys {
	t.Helper()
	k, err := identity.Open(dir)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return k
}

func keyDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "keys")
}

func TestKeysSurviveARestart(t *testing.T) {
	dir := keyDir(t)
	first, second := open(t, dir), open(t, dir)
	if !first.Public().Equal(second.Public()) || first.Device() != second.Device() {
		t.Errorf("second Open gave device %s, want %s", second.Device(), first.Device())
	}
	sealed, err := sealer(t, first, "vault").Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sealer(t, second, "vault").Open(sealed, nil); err != nil || string(got) != "x" {
		t.Errorf("Open after a restart = %q, %v, want x", got, err)
	}
	if other := open(t, keyDir(t)); other.Device() == first.Device() {
		t.Errorf("two folders made the same device %s", first.Device())
	}
}

func TestKeyFilesArePrivate(t *testing.T) {
	dir := keyDir(t)
	open(t, dir)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, want nothing for group and others", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenToOthersIsRefusedByName(t *testing.T) {
	for _, name := range []string{"signing.pem", "data.key", "device", "."} {
		dir := keyDir(t)
		open(t, dir)
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := identity.Open(dir)
		if !errors.Is(err, identity.ErrPermissions) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("Open with %s at 0640 = %v, want ErrPermissions naming it", name, err)
		}
	}
}

func TestSymbolicLinkToAKeyIsRefused(t *testing.T) {
	dir := keyDir(t)
	open(t, dir)
	path := filepath.Join(dir, "data.key")
	if err := os.Rename(path, path+".real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+".real", path); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(dir); !errors.Is(err, identity.ErrPermissions) {
		t.Errorf("Open = %v, want ErrPermissions", err)
	}
}

func TestLostKeyIsNeverMadeAnew(t *testing.T) {
	for _, name := range []string{"signing.pem", "data.key"} {
		dir := keyDir(t)
		open(t, dir)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		_, err := identity.Open(dir)
		if !errors.Is(err, identity.ErrKeysLost) || !strings.Contains(err.Error(), name) {
			t.Errorf("Open without %s = %v, want ErrKeysLost naming it", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open made %s again", name)
		}
	}
}

func TestInterruptedFirstStartIsMadeUpFor(t *testing.T) {
	dir := keyDir(t)
	open(t, dir)
	// Power went before the second key, and before the marker got its name.
	if err := os.Rename(filepath.Join(dir, "device"), filepath.Join(dir, "device.new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "data.key")); err != nil {
		t.Fatal(err)
	}
	first := open(t, dir)
	if second := open(t, dir); second.Device() != first.Device() {
		t.Errorf("Open after an interrupted start = %s, then %s", first.Device(), second.Device())
	}
}

func TestLostMarkerIsWrittenAgainFromTheKeys(t *testing.T) {
	dir := keyDir(t)
	before := open(t, dir)
	sealed, err := sealer(t, before, "vault").Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "device")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	after := open(t, dir)
	if !after.Public().Equal(before.Public()) {
		t.Errorf("Open without the marker = %s, want %s as before", after.Device(), before.Device())
	}
	if got, err := sealer(t, after, "vault").Open(sealed, nil); err != nil || string(got) != "x" {
		t.Errorf("Open of what was sealed before = %q, %v, want x", got, err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != before.Device()+"\n" {
		t.Errorf("the marker holds %q, %v, want %s", raw, err, before.Device())
	}
}

func TestOneKeyWithoutMarkerIsNeverReplaced(t *testing.T) {
	for _, lost := range []string{"signing.pem", "data.key"} {
		dir := keyDir(t)
		open(t, dir)
		for _, name := range []string{"device", lost} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := identity.Open(dir)
		if !errors.Is(err, identity.ErrKeysLost) || !strings.Contains(err.Error(), lost) {
			t.Errorf("Open without %s and the marker = %v, want ErrKeysLost naming it", lost, err)
		}
	}
}

func TestDamagedKeyWithoutMarkerIsNeverReplaced(t *testing.T) {
	dir := keyDir(t)
	open(t, dir)
	if err := os.Remove(filepath.Join(dir, "device")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data.key"), []byte("half a ke"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(dir); !errors.Is(err, identity.ErrCorrupt) {
		t.Errorf("Open = %v, want ErrCorrupt", err)
	}
}

func TestDamagedKeyFileIsNamed(t *testing.T) {
	for _, name := range []string{"signing.pem", "data.key", "device"} {
		for what, damage := range map[string]func([]byte) []byte{
			"truncated": func(b []byte) []byte { return b[:len(b)/2] },
			"empty":     func([]byte) []byte { return nil },
			"foreign":   func([]byte) []byte { return []byte("hello\n") },
			"doubled":   func(b []byte) []byte { return append(b, b...) },
			"other type": func([]byte) []byte {
				return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})
			},
			"short key": func([]byte) []byte {
				return pem.EncodeToMemory(&pem.Block{Type: "EDGEVERIFY DATA KEY", Bytes: []byte{1}})
			},
		} {
			dir := keyDir(t)
			open(t, dir)
			path := filepath.Join(dir, name)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = identity.Open(dir)
			if !errors.Is(err, identity.ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("Open with %s %s = %v, want ErrCorrupt naming it", name, what, err)
			}
		}
	}
}

func TestKeyOfAnotherDeviceIsRefused(t *testing.T) {
	dir, other := keyDir(t), keyDir(t)
	open(t, dir)
	open(t, other)
	if err := os.Rename(filepath.Join(other, "signing.pem"), filepath.Join(dir, "signing.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(dir); !errors.Is(err, identity.ErrCorrupt) {
		t.Errorf("Open with another device's signing key = %v, want ErrCorrupt", err)
	}
}

func TestSimultaneousFirstStartsMakeOneDevice(t *testing.T) {
	dir := keyDir(t)
	devices := make([]string, 8)
	var wg sync.WaitGroup
	for i := range devices {
		wg.Go(func() {
			k, err := identity.Open(dir)
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			devices[i] = k.Device()
		})
	}
	wg.Wait()
	for _, d := range devices {
		if d != devices[0] {
			t.Errorf("devices %v, want one", devices)
			break
		}
	}
}

func TestSignerSignsRecords(t *testing.T) {
	k := open(t, keyDir(t))
	raw, err := record.Sign(record.Envelope{
		Tenant: "bank", Device: k.Device(), Epoch: 1, Seq: 1,
		RID: "01890a5d-ac96-774b-bcce-b302099a8057", Kind: record.Health, Body: json.RawMessage(`{}`),
	}, k.Signer())
	if err != nil {
		t.Fatal(err)
	}
	_, err = record.Verify(raw, func(kid string) (crypto.PublicKey, error) {
		if kid != k.Signer().KeyID() {
			t.Errorf("kid = %s, want %s", kid, k.Signer().KeyID())
		}
		return k.Public(), nil
	})
	if err != nil {
		t.Errorf("Verify: %v", err)
	}
	if id, err := record.KeyID(k.Public()); id != k.Signer().KeyID() {
		t.Errorf("record.KeyID = %s, %v, want %s", id, err, k.Signer().KeyID())
	}
	if k.Assurance() != "low" {
		t.Errorf("Assurance() = %q, want low for files", k.Assurance())
	}
}

func sealer(t *testing.T, k *identity.Keys, purpose string) *identity.Sealer {
	t.Helper()
	s, err := k.Sealer(purpose)
	if err != nil {
		t.Fatalf("Sealer(%q): %v", purpose, err)
	}
	return s
}

func TestSealedValueOpensOnlyInItsPlace(t *testing.T) {
	k := open(t, keyDir(t))
	s := sealer(t, k, "outbox")
	sealed, err := s.Seal([]byte("secret"), []byte("place"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open(sealed, []byte("place")); err != nil || string(got) != "secret" {
		t.Fatalf("Open = %q, %v, want secret", got, err)
	}
	again, err := s.Seal([]byte("secret"), []byte("place"))
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("sealing twice gave the same bytes, %v", err)
	}
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := s.Open(altered, []byte("place")); !errors.Is(err, identity.ErrSeal) {
			t.Errorf("Open with byte %d altered = %v, want ErrSeal", i, err)
		}
	}
	for name, open := range map[string]func() ([]byte, error){
		"another place":   func() ([]byte, error) { return s.Open(sealed, []byte("elsewhere")) },
		"another purpose": func() ([]byte, error) { return sealer(t, k, "vault").Open(sealed, []byte("place")) },
		"another device":  func() ([]byte, error) { return sealer(t, open(t, keyDir(t)), "outbox").Open(sealed, []byte("place")) },
		"cut short":       func() ([]byte, error) { return s.Open(sealed[:11], []byte("place")) },
	} {
		if _, err := open(); !errors.Is(err, identity.ErrSeal) {
			t.Errorf("%s: Open = %v, want ErrSeal", name, err)
		}
	}
	if _, err := k.Sealer(""); err == nil {
		t.Error("Sealer without a purpose = nil, want an error")
	}
}

func TestPrintingKeysShowsNoKey(t *testing.T) {
	dir := keyDir(t)
	k := open(t, dir)
	raw, err := os.ReadFile(filepath.Join(dir, "data.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{k, *k, k.Signer(), sealer(t, k, "vault")} {
			out := fmt.Sprintf(verb, v)
			for _, secret := range []string{fmt.Sprint(block.Bytes)[1:20], fmt.Sprintf("%#v", block.Bytes[:6])[7:30]} {
				if strings.Contains(out, secret) {
					t.Errorf("Sprintf(%q, %T) shows the key: %s", verb, v, out)
				}
			}
		}
	}
}

// TestKilledFirstStartStillEndsWithOneDevice kills a process in the first
// moments of making keys and opens the folder again.
func TestKilledFirstStartStillEndsWithOneDevice(t *testing.T) {
	for range 20 {
		dir := keyDir(t)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "IDENTITY_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, which is an error by design
		first := open(t, dir)
		if second := open(t, dir); first.Device() != second.Device() {
			t.Errorf("device %s, then %s", first.Device(), second.Device())
		}
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("IDENTITY_CHILD"); dir != "" {
		fmt.Print("x") // about to make keys
		if _, err := identity.Open(dir); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var _ crypto.Signer = identity.Signer{}
