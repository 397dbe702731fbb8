//go:build e2e

package e2e

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of its own as the device's data folder.
func smallDisk(t *testing.T, d *device) {
	t.Helper()
	if err := os.Mkdir(d.data, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", d.data, "tmpfs", 0, "size=32m,mode=0700")
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("not run: mounting a small file system needs root: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.data, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// exhaustDisk writes a file until nothing more fits.
func exhaustDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v, want ENOSPC", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestFullDiskIsOutOfServiceAndRecoversWithoutLoss(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, inAHurry+"outbox:\n  quota: 8388608\n")
	smallDisk(t, d)
	daemon := d.start()
	ask := request{Selfie: a.genuine}
	shown := []string{d.mustVerify(ask).ID}

	filler := filepath.Join(d.data, "filler")
	exhaustDisk(t, filler)
	// What is allocated may still take a few outcomes.
	for {
		v, err := d.verify(ask)
		if err != nil {
			if !strings.Contains(err.Error(), "503: out of service") {
				t.Fatalf("POST /verify on a full disk: %v, want 503, out of service", err)
			}
			t.Logf("after %d outcomes: %v", len(shown), err)
			break
		}
		if shown = append(shown, v.ID); len(shown) > 10_000 {
			t.Fatal("the disk does not become full")
		}
	}
	if h := d.health(); h.State != "out_of_service" || len(h.Faults) == 0 {
		t.Errorf("GET /health on a full disk: %+v, want out_of_service", h)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	shown = append(shown, d.mustVerify(ask).ID)
	if h := d.health(); h.State == "out_of_service" || h.Outbox.Pending != 0 {
		t.Errorf("GET /health with room again: %+v, want nothing pending", h)
	}
	there := queued(d)
	for _, id := range shown {
		if !there[id] {
			t.Errorf("verification %s was shown and is not in the outbox", id)
		}
	}
	if len(there) > len(shown)+1 {
		t.Errorf("%d records, want the %d outcomes shown and at most the one that was refused", len(there), len(shown))
	}
	if code, _ := daemon.stop(t); code != 0 {
		t.Errorf("SIGTERM: exit %d, want 0", code)
	}
}
