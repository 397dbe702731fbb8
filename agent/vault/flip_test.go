package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/agent/vault"
)

// readerDir is set in the process that opens damaged copies of a vault.
const readerDir = "VAULT_TEST_READER_DIR"

// readDamaged opens the vault in each folder of dir and says on one line what
// became of it. That it ends by itself is what the test wants to see.
func readDamaged(dir string) error {
	device, err := newDeviceKey(1)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		fmt.Println(e.Name(), readOne(filepath.Join(dir, e.Name()), device))
	}
	return nil
}

func readOne(dir string, device vault.Sealer) string {
	v, err := vault.Open(dir, device, vault.Options{Quota: vault.LeastQuota})
	switch {
	case errors.Is(err, vault.ErrDamaged), errors.Is(err, vault.ErrWrongKey):
		return "damaged"
	case err != nil:
		return "error " + err.Error()
	}
	defer v.Close()
	read := 0
	for o, err := range v.Pending(context.Background()) {
		if errors.Is(err, vault.ErrDamaged) {
			continue
		}
		if err != nil || string(o.Payload) != payloadOf(o.RID) {
			return fmt.Sprintf("wrong %q %q %v", o.RID, o.Payload, err)
		}
		read++
	}
	return fmt.Sprint("read ", read)
}

// TestAFlippedBitNeverEndsTheProcess opens copies of a vault with one bit altered
// in another process, so that a crash shows.
func TestAFlippedBitNeverEndsTheProcess(t *testing.T) {
	const records, trials = 60, 300
	dir := t.TempDir()
	v, err := vault.Open(dir, key(t, 1), vault.Options{Quota: vault.LeastQuota})
	if err != nil {
		t.Fatal(err)
	}
	for range records {
		rid := newID(t)
		if err := v.Commit(t.Context(), rid, approved(t, submitted(t)), []byte(payloadOf(rid))); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(good, "\x00"))
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	copies := t.TempDir()
	where := map[string]string{}
	for i := range trials {
		at, bit := rng.IntN(used), rng.IntN(8)
		if i%2 == 0 {
			at = at&^4095 + rng.IntN(256) // where the pages describe themselves
		}
		bad := bytes.Clone(good)
		bad[at] ^= 1 << bit
		name := fmt.Sprint(i)
		where[name] = fmt.Sprintf("byte %d bit %d", at, bit)
		if err := os.Mkdir(filepath.Join(copies, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copies, name, "vault.db"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), readerDir+"="+copies)
	var crash bytes.Buffer
	cmd.Stderr = &crash
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("seed %d: the process ended after %d of %d vaults: %v\n%.2000s", seed, bytes.Count(out, []byte("\n")), trials, err, crash.String())
	}
	damaged, whole := 0, 0
	for line := range strings.Lines(string(out)) {
		name, result, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case result == "damaged":
			damaged++
		case strings.HasPrefix(result, "read "):
			whole++
		default:
			t.Errorf("seed %d, %s: %s, want ErrDamaged or what was committed", seed, where[name], result)
		}
	}
	if damaged+whole != trials && !t.Failed() || damaged == 0 || whole == 0 {
		t.Errorf("seed %d: %d damaged and %d read of %d", seed, damaged, whole, trials)
	}
	t.Logf("%d bits: %d refused as damaged, %d opened", trials, damaged, whole)
}

func payloadOf(rid string) string { return `{"rid":"` + rid + `"}` }
