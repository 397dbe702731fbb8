package outbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// pad makes a record large.
const padSize = 4000

// fill puts records of kind until one is refused, and returns the positions.
func fill(t *testing.T, b *outbox.Box, kind record.Kind) []outbox.Position {
	t.Helper()
	var all []outbox.Position
	for {
		p, err := b.Put(t.Context(), newRID(t), kind, padded())
		if errors.Is(err, outbox.ErrFull) {
			return all
		}
		if err != nil {
			t.Fatalf("Put after %d records: %v, want ErrFull at the end", len(all), err)
		}
		all = append(all, p)
	}
}

// drain settles everything that is due and returns how many that were.
func drain(t *testing.T, b *outbox.Box) int {
	t.Helper()
	n := 0
	for {
		items, err := b.Due(t.Context(), farFuture(), 256, 256<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 0 {
			return n
		}
		var acks []record.Acknowledgement
		for _, it := range items {
			acks = append(acks, ack(it.Position, record.Stored))
		}
		n += len(mustSettle(t, b, acks...).Removed)
	}
}

func TestFullOutboxRefusesThenDrainsAndResumes(t *testing.T) {
	dir := t.TempDir()
	o := options(t)
	o.Quota = outbox.MinQuota
	b, err := outbox.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeBox(t, b)
	for round := range 2 {
		telemetry := fill(t, b, record.Health)
		decisions := fill(t, b, record.Verification)
		if len(decisions) == 0 || len(telemetry) < 100 {
			t.Fatalf("round %d: %d health records, then %d decisions; the reserve is for decisions", round, len(telemetry), len(decisions))
		}
		if s, err := b.Stats(t.Context()); err != nil || !s.Full || s.Used > o.Quota {
			t.Errorf("round %d: Stats = %+v, %v, want full and within quota", round, s, err)
		}
		mustCheck(t, b)
		if got, want := drain(t, b), len(telemetry)+len(decisions); got != want {
			t.Errorf("round %d: drained %d, want %d", round, got, want)
		}
		if info, err := os.Stat(filepath.Join(dir, "outbox.db")); err != nil || info.Size() > o.Quota {
			t.Errorf("round %d: file of %v, %v, want at most %d bytes", round, info.Size(), err, o.Quota)
		}
	}
	mustPut(t, b, `{}`)
	if s, err := b.Stats(t.Context()); err != nil || s.Full {
		t.Errorf("Stats = %+v, %v, want no longer full", s, err)
	}
}

func TestFullOutboxSettlesScatteredRecords(t *testing.T) {
	o := options(t)
	o.Quota = outbox.MinQuota
	b, err := outbox.Open(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeBox(t, b)
	all := fill(t, b, record.Attack)
	var acks []record.Acknowledgement
	for i := 0; i < len(all); i += 7 {
		acks = append(acks, ack(all[i], record.Stored))
	}
	if s := mustSettle(t, b, acks...); len(s.Removed) != len(acks) {
		t.Errorf("removed %d, want %d", len(s.Removed), len(acks))
	}
	mustCheck(t, b)
	// Holes within pages are no room for a put; whole pages are.
	if got, want := drain(t, b), len(all)-len(acks); got != want {
		t.Errorf("drained %d, want %d", got, want)
	}
	mustPut(t, b, `{}`)
}

func TestQuotaBelowTheLeastIsRefused(t *testing.T) {
	o := options(t)
	o.Quota = outbox.MinQuota - 1
	if _, err := outbox.Open(t.Context(), t.TempDir(), o); err == nil {
		t.Error("Open with a quota below MinQuota = nil, want an error")
	}
}

func TestFullFileSystemRefusesThenDrainsAndResumes(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=10m"); err != nil {
		t.Skipf("not run: cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	o := options(t)
	o.Quota = 64 << 20 // more than the file system holds
	box := filepath.Join(dir, "box")
	b, err := outbox.Open(t.Context(), box, o)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		all := fill(t, b, record.Verification)
		if len(all) < 50 {
			t.Fatalf("round %d: only %d records fitted", round, len(all))
		}
		if _, err := b.Put(t.Context(), newRID(t), record.Attack, padded()); !errors.Is(err, outbox.ErrFull) {
			t.Errorf("round %d: Put on a full disk = %v, want ErrFull again", round, err)
		}
		items := recordsOf(t, b)
		for _, p := range all {
			if items[p.Seq].Digest != p.Digest {
				t.Fatalf("round %d: acknowledged seq %d is not there", round, p.Seq)
			}
		}
		if got := drain(t, b); got < len(all) {
			t.Errorf("round %d: drained %d, want at least %d", round, got, len(all))
		}
		mustPut(t, b, `{}`)
		mustCheck(t, b)
		drain(t, b)
	}
	closeBox(t, b)
}

func padded() []byte { return []byte(`{"pad":"` + strings.Repeat("x", padSize) + `"}`) }

// farFuture is a time at which every record is due.
func farFuture() time.Time { return time.Now().Add(48 * time.Hour) }

func TestDrainedFileShrinks(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	defer closeBox(t, b)
	if did, err := b.Compact(t.Context()); did || err != nil {
		t.Errorf("Compact of a new store = %v, %v, want nothing to do", did, err)
	}
	for range 400 {
		if _, err := b.Put(t.Context(), newRID(t), record.Verification, padded()); err != nil {
			t.Fatal(err)
		}
	}
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(filepath.Join(dir, "outbox.db"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	drain(t, b)
	kept := mustPut(t, b, `{}`)
	if did, err := b.Compact(t.Context()); !did || err != nil {
		t.Fatalf("Compact of a drained store = %v, %v, want it done", did, err)
	}
	if after := size(); after > before/2 {
		t.Errorf("file of %d bytes after draining and compacting, %d before", after, before)
	}
	if items := allDue(t, b); len(items) != 1 || items[0].Position != kept {
		t.Errorf("due after compacting = %v, want the one record", items)
	}
	if p := mustPut(t, b, `{}`); p.Seq != kept.Seq+1 || p.Epoch != kept.Epoch {
		t.Errorf("position after compacting = %+v, want the next after %+v", p, kept)
	}
	mustCheck(t, b)
}
