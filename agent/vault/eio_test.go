package vault_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/sync/outbox/outboxtest"
)

// A vault whose disk refused an fsync keeps nothing more until it opened and
// checked its file again, which a probe does without a restart.
func TestAVaultWhoseDiskFailedRecoversWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	lossy, err := outboxtest.Mount(dir)
	if err != nil {
		t.Skipf("not run: mounting a FUSE file system: %v", err)
	}
	defer func() {
		if err := lossy.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	ctx := t.Context()
	v, err := vault.Open(dir, key(t, 1), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}()
	before, during, after := newID(t), newID(t), newID(t)
	if err := v.Commit(ctx, before, approved(t, submitted(t)), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	lossy.FailSync(syscall.EIO)
	for range 2 {
		if err := v.Commit(ctx, during, approved(t, submitted(t)), []byte("{}")); !errors.Is(err, vault.ErrDamaged) {
			t.Errorf("Commit on a failing disk = %v, want ErrDamaged", err)
		}
	}
	if err := v.Probe(ctx); err == nil {
		t.Error("Probe on a failing disk = nil, want an error")
	}
	lossy.FailSync(0)
	if err := v.Probe(ctx); err != nil {
		t.Fatalf("Probe on a disk that works again = %v, want nil", err)
	}
	if err := v.Commit(ctx, after, approved(t, submitted(t)), []byte("{}")); err != nil {
		t.Errorf("Commit after the disk recovered = %v, want nil", err)
	}
	rids := map[string]bool{}
	for o, err := range v.Pending(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		rids[o.RID] = true
	}
	if !rids[before] || !rids[after] {
		t.Errorf("Pending = %v, want what was acknowledged before and after", rids)
	}
	if err := v.Check(); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
}
