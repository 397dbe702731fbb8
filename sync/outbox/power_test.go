package outbox_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/outbox/outboxtest"
)

func mountLossy(t *testing.T) (string, *outboxtest.Lossy) {
	t.Helper()
	dir := t.TempDir()
	l, err := outboxtest.Mount(dir)
	if err != nil {
		t.Skipf("not run: cannot mount FUSE: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir, l
}

// afterCut writes the files that a cut left into a folder of a true disk.
func afterCut(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPowerCutLosesNothingAcknowledged cuts the power under a writer from its
// first milliseconds on. Whatever it had printed must be there.
func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	rng, seed := seeded(t)
	total, n := 0, kills(t, 24)
	for i := range n {
		mnt, lossy := mountLossy(t)
		out := killAfter(t, "write", mnt, time.Duration(rng.IntN(60_000))*time.Microsecond, i%3 == 0)
		sector := []int{0, 4096, 512}[i%3]
		dir := afterCut(t, lossy.Cut(rng, sector))
		b, err := outbox.Open(t.Context(), dir, options(t))
		if err != nil {
			t.Fatalf("seed %d, cut %d, sector %d: Open = %v", seed, i, sector, err)
		}
		mustCheck(t, b)
		present := map[uint64]string{}
		list, err := b.List(t.Context(), 0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			present[e.Seq] = fmt.Sprintf("%x", e.Digest)
		}
		settling := map[uint64]bool{}
		acked := map[uint64]string{}
		for line := range strings.Lines(out) {
			var seq uint64
			var digest string
			if !strings.HasSuffix(line, "\n") {
				continue
			}
			if _, err := fmt.Sscanf(line, "put %d %s", &seq, &digest); err == nil {
				acked[seq] = digest
			} else if _, err := fmt.Sscanf(line, "settle %d", &seq); err == nil {
				settling[seq] = true
			}
		}
		for seq, digest := range acked {
			if present[seq] != digest && !settling[seq] {
				t.Fatalf("seed %d, cut %d, sector %d: acknowledged seq %d is %q, want %s", seed, i, sector, seq, present[seq], digest)
			}
		}
		total += len(acked)
		if s, err := b.Stats(t.Context()); err != nil || s.Quarantined != 0 {
			t.Errorf("seed %d, cut %d: Stats = %+v, %v, want nothing set aside", seed, i, s, err)
		}
		closeBox(t, b)
	}
	t.Logf("%d cuts, %d acknowledged puts, 0 lost, 0 that did not open", n, total)
}

// TestFailedSyncIsFollowedByAFreshFile lets fsync fail and drop its pages, as
// Linux does. Everything acknowledged afterwards must survive a cut.
func TestFailedSyncIsFollowedByAFreshFile(t *testing.T) {
	mnt, lossy := mountLossy(t)
	rng, _ := seeded(t)
	b := openBox(t, mnt)
	var want []outbox.Position
	for round := range 3 {
		want = append(want, mustPut(t, b, `{}`))
		lossy.FailSync(syscall.EIO)
		for range 2 {
			_, err := b.Put(t.Context(), newRID(t), "verification", []byte(`{}`))
			if !errors.Is(err, outbox.ErrDisk) {
				t.Fatalf("round %d: Put = %v, want ErrDisk", round, err)
			}
		}
		lossy.FailSync(0)
		want = append(want, mustPut(t, b, `{"after":1}`))
	}
	dir := afterCut(t, lossy.Cut(rng, 0))
	closeBox(t, b)
	b = openBox(t, dir)
	defer closeBox(t, b)
	mustCheck(t, b)
	items := recordsOf(t, b)
	for _, p := range want {
		if items[p.Seq].Position != p {
			t.Errorf("acknowledged seq %d of epoch %d is not there", p.Seq, p.Epoch)
		}
	}
}

// TestPowerCutWhileCompactingLosesNothing cuts the power at moments of a Compact
// on a store that was drained but for a few records. The writer is a process of
// its own: one that waits for its own file system while bbolt reads a mapped
// page could wait for ever.
func TestPowerCutWhileCompactingLosesNothing(t *testing.T) {
	rng, seed := seeded(t)
	within, n := 0, kills(t, 12)
	for i := range n {
		mnt, lossy := mountLossy(t)
		after := time.Duration(rng.IntN(12_000)) * time.Microsecond
		out := killAfter(t, "compact", mnt, after, false)
		if !strings.Contains(out, "compacted") {
			within++
		}
		sector := []int{0, 4096, 512}[i%3]
		b := openBox(t, afterCut(t, lossy.Cut(rng, sector)))
		mustCheck(t, b)
		items := recordsOf(t, b)
		kept := 0
		for line := range strings.Lines(out) {
			var seq uint64
			var digest string
			if _, err := fmt.Sscanf(line, "kept %d %s", &seq, &digest); err != nil {
				continue
			}
			kept++
			if got := fmt.Sprintf("%x", items[seq].Digest); got != digest {
				t.Errorf("seed %d, cut %d after %v, sector %d: seq %d has digest %s, want %s", seed, i, after, sector, seq, got, digest)
			}
		}
		if kept == 0 || len(items) != kept {
			t.Errorf("seed %d, cut %d after %v, sector %d: %d records, want the %d kept", seed, i, after, sector, len(items), kept)
		}
		closeBox(t, b)
	}
	t.Logf("%d of %d cuts before Compact had ended, 0 records lost", within, n)
	if within == 0 {
		t.Error("no cut fell into a Compact: the test proves nothing")
	}
}

// TestCutForgetsWhatWasNotSynced shows that a cut does cut: otherwise the tests
// above could not fail.
func TestCutForgetsWhatWasNotSynced(t *testing.T) {
	mnt, lossy := mountLossy(t)
	rng, _ := seeded(t)
	path := filepath.Join(mnt, "a")
	if err := os.WriteFile(path, []byte("unsynced"), 0o600); err != nil {
		t.Fatal(err)
	}
	if files := lossy.Cut(rng, 0); len(files) != 0 {
		t.Errorf("files after a cut = %v, want none: the name was not synced", files)
	}
	d, err := os.Open(mnt)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if files := lossy.Cut(rng, 0); string(files["a"]) != "" || len(files) != 1 {
		t.Errorf("files after a cut = %q, want an empty one", files)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if files := lossy.Cut(rng, 0); string(files["a"]) != "unsynced" {
		t.Errorf("files after sync and cut = %q, want the content", files)
	}
}
