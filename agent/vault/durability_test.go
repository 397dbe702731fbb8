package vault_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/agent/verify"
)

// writerDir is set in the process that TestAcknowledgedIsPresentAfterAKill kills.
const writerDir = "VAULT_TEST_WRITER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		if err := writeForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if dir := os.Getenv(readerDir); dir != "" {
		if err := readDamaged(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeForEver commits outcomes, marks every third done, and prints each
// acknowledgement once it has it.
func writeForEver(dir string) error {
	device, err := newDeviceKey(1)
	if err != nil {
		return err
	}
	v, err := vault.Open(dir, device, vault.Options{})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		rid := uuid.NewString()
		outcome := verify.Verification{ID: uuid.NewString(), State: verify.State{Status: verify.Approved}}
		if err := v.Commit(context.Background(), rid, outcome, []byte(rid)); err != nil {
			return err
		}
		fmt.Println("committed", rid, outcome.ID)
		if n%3 == 0 {
			if err := v.MarkDone(context.Background(), rid); err != nil {
				return err
			}
			fmt.Println("done", rid, outcome.ID)
		}
	}
}

func TestAcknowledgedIsPresentAfterAKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	committed, done := map[string]string{}, map[string]string{}
	for round := range 12 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed after a random number of acknowledgements, so in the middle
		// of the write behind it.
		left := 1 + rand.IntN(60)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var what, rid, id string
			if _, err := fmt.Sscan(lines.Text(), &what, &rid, &id); err != nil {
				t.Fatalf("writer said %q", lines.Text())
			}
			if what == "done" {
				done[rid] = id
			} else {
				committed[rid] = id
			}
			if left--; left == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); left > 0 {
			t.Fatalf("round %d: the writer ended by itself: %v", round, err)
		}

		v, err := vault.Open(dir, key(t, 1), vault.Options{})
		if err != nil {
			t.Fatalf("round %d: Open after the kill = %v", round, err)
		}
		if err := v.Check(); err != nil {
			t.Fatalf("round %d: Check = %v, want nil", round, err)
		}
		waits := map[string]bool{}
		for _, o := range pending(t, v) {
			waits[o.RID] = true
		}
		for rid, id := range committed {
			shown, err := v.Verification(t.Context(), id)
			if finished := done[rid] != ""; finished && (err != nil || shown.Status != verify.Approved || waits[rid]) {
				t.Fatalf("round %d: done outcome %s is %v, %v, pending %v", round, rid, shown, err, waits[rid])
			}
			// A kill between the two prints may leave an outcome done that
			// was only acknowledged as committed.
			if !waits[rid] && err != nil {
				t.Fatalf("round %d: acknowledged outcome %s is neither pending nor shown: %v", round, rid, err)
			}
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d outcomes acknowledged over 12 kills, none lost", len(committed))
}

func TestAKillWhileTheVaultIsMadeLeavesNoHalfVault(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "vault.db.new"), []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, vault.Options{})
	if _, err := os.Stat(filepath.Join(dir, "vault.db.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(vault.db.new) = %v, want it gone", err)
	}
}

func TestAFullVaultRefusesWithoutLosingAndRecovers(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	v := open(t, dir, vault.Options{Quota: vault.LeastQuota})
	reference := vault.Reference{Embedding: make(vault.Embedding, 4096), Model: "e1"}
	for i := range reference.Embedding {
		reference.Embedding[i] = 1 / float32(i+3) // many digits, so that it fills soon
	}
	var rids []string
	accounts := 0
	for full := false; !full; {
		// Sizes vary, so that what deletions free is in pieces.
		payload := make([]byte, 1+len(rids)*7919%vault.MaxPayload)
		enrolled := newID(t)
		if err := v.PutReference(ctx, fmt.Sprint(accounts), reference, enrolled, payload); err == nil {
			accounts++
			rids = append(rids, enrolled)
		} else if !errors.Is(err, vault.ErrFull) {
			t.Fatalf("PutReference = %v, want nil or ErrFull", err)
		}
		rid := newID(t)
		switch err := v.Commit(ctx, rid, approved(t, submitted(t)), payload); {
		case err == nil:
			rids = append(rids, rid)
		case errors.Is(err, vault.ErrFull):
			full = true
		default:
			t.Fatalf("Commit = %v, want nil or ErrFull", err)
		}
	}
	if accounts == 0 || len(rids) == accounts {
		t.Fatalf("full after %d references and %d outcomes", accounts, len(rids))
	}
	if got := pending(t, v); len(got) != len(rids) {
		t.Errorf("Pending = %d outcomes, want the %d that were acknowledged", len(got), len(rids))
	}
	for _, rid := range rids {
		if err := v.MarkDone(ctx, rid); err != nil {
			t.Fatalf("MarkDone in a full vault = %v, want nil", err)
		}
	}
	for n := range accounts {
		if err := v.DeleteReference(ctx, fmt.Sprint(n)); err != nil {
			t.Fatalf("DeleteReference in a full vault = %v, want nil", err)
		}
	}
	if err := v.Commit(ctx, newID(t), approved(t, submitted(t)), []byte("x")); err != nil {
		t.Errorf("Commit after deleting = %v, want nil", err)
	}
	if err := v.Check(); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
	info, err := os.Stat(filepath.Join(dir, "vault.db"))
	if most := int64(vault.LeastQuota + 1<<20); err != nil || info.Size() > most {
		t.Errorf("the file has %d bytes, %v, want at most %d", info.Size(), err, most)
	}
}

// A file system without room answers in the middle of a transaction, not before
// it as the quota does.
func TestAFullFileSystemRefusesWithoutLosingAndRecovers(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("not run: mounting a tmpfs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 256<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	v := open(t, dir, vault.Options{Quota: 64 << 20})
	payload := make([]byte, 3000)
	committed := 0
	for {
		err := v.Commit(t.Context(), newID(t), approved(t, submitted(t)), payload)
		if errors.Is(err, vault.ErrFull) {
			break
		}
		if err != nil {
			t.Fatalf("Commit on a full file system = %v, want ErrFull", err)
		}
		committed++
	}
	if got := pending(t, v); committed == 0 || len(got) != committed {
		t.Errorf("Pending = %d outcomes, want the %d that were acknowledged", len(got), committed)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := v.Commit(t.Context(), newID(t), approved(t, submitted(t)), payload); err != nil {
		t.Errorf("Commit with room again = %v, want nil", err)
	}
	if err := v.Check(); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
}

// reopenAfter closes v, lets change edit the file with bbolt, and opens it again.
func reopenAfter(t *testing.T, dir string, v *vault.Vault, change func(*bolt.Tx) error) (*vault.Vault, error) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, "vault.db"), 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
	return vault.Open(dir, key(t, 1), vault.Options{})
}

func TestAValueMovedToAnotherKeyDoesNotOpen(t *testing.T) {
	dir := t.TempDir()
	v, err := vault.Open(dir, key(t, 1), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := submitted(t), submitted(t)
	for _, s := range []verify.Verification{a, b} {
		if err := v.Save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	v, err = reopenAfter(t, dir, v, func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte("verifications"))
		return bucket.Put([]byte(a.ID), bucket.Get([]byte(b.ID)))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if got, err := v.Verification(t.Context(), a.ID); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("Verification = %v, %v, want ErrDamaged", got, err)
	}
	if err := v.Check(); !errors.Is(err, vault.ErrDamaged) || !strings.Contains(err.Error(), a.ID) {
		t.Errorf("Check = %v, want ErrDamaged and the id %s", err, a.ID)
	}
}

func TestADamagedOutcomeDoesNotHideTheOthers(t *testing.T) {
	dir := t.TempDir()
	v, err := vault.Open(dir, key(t, 1), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rid := range []string{"r1", "r2", "r3"} {
		if err := v.Commit(t.Context(), rid, approved(t, submitted(t)), []byte("payload")); err != nil {
			t.Fatal(err)
		}
	}
	v, err = reopenAfter(t, dir, v, func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("pending")).Put([]byte{0, 0, 0, 0, 0, 0, 0, 2}, []byte("not sealed"))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var got []string
	faults := 0
	for o, err := range v.Pending(t.Context()) {
		if err != nil {
			faults++
			continue
		}
		got = append(got, o.RID)
	}
	if fmt.Sprint(got) != "[r1 r3]" || faults != 1 {
		t.Errorf("Pending = %v and %d faults, want r1, r3 and one fault", got, faults)
	}
}

// A value that went bad must not keep a device from starting after a power cut.
func TestADamagedValueDoesNotKeepAnUnclosedVaultFromOpening(t *testing.T) {
	dir := t.TempDir()
	v, err := vault.Open(dir, key(t, 1), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	good := submitted(t)
	if err := v.Save(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	v, err = reopenAfter(t, dir, v, func(tx *bolt.Tx) error {
		return errors.Join(
			tx.Bucket([]byte("verifications")).Put([]byte("bad"), []byte("not sealed")),
			tx.Bucket([]byte("meta")).Put([]byte("clean"), []byte{0}),
		)
	})
	if err != nil {
		t.Fatalf("Open = %v, want nil", err)
	}
	defer v.Close()
	if got, err := v.Verification(t.Context(), good.ID); err != nil || got.ID != good.ID {
		t.Errorf("Verification of the good one = %v, %v", got, err)
	}
	if err := v.Check(); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("Check = %v, want ErrDamaged", err)
	}
}

func TestAnUnclosedVaultWithoutItsBucketsDoesNotOpen(t *testing.T) {
	dir := t.TempDir()
	v, err := vault.Open(dir, key(t, 1), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = reopenAfter(t, dir, v, func(tx *bolt.Tx) error {
		return errors.Join(
			tx.DeleteBucket([]byte("pending")),
			tx.Bucket([]byte("meta")).Put([]byte("clean"), []byte{0}),
		)
	})
	if !errors.Is(err, vault.ErrDamaged) || !strings.Contains(err.Error(), "pending") {
		t.Errorf("Open = %v, want ErrDamaged that names the bucket", err)
	}
}

func TestAFileThatIsNoVaultIsNamedDamaged(t *testing.T) {
	for name, content := range map[string][]byte{
		"text":  []byte(strings.Repeat("no vault ", 5000)),
		"zeros": make([]byte, 64<<10),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "vault.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Open(dir, key(t, 1), vault.Options{}); !errors.Is(err, vault.ErrDamaged) {
			t.Errorf("Open of %s = %v, want ErrDamaged", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || len(after) != len(content) {
			t.Errorf("the file of %s has %d bytes after Open, %v, want %d", name, len(after), err, len(content))
		}
	}
}
