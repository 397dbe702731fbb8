package outbox_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// filled makes a closed store of n records and returns its folder and digests.
func filled(t *testing.T, n int) (string, map[uint64][32]byte) {
	t.Helper()
	dir := t.TempDir()
	b := openBox(t, dir)
	want := map[uint64][32]byte{}
	for range n {
		p := mustPut(t, b, `{"pad":"0123456789012345678901234567890123456789"}`)
		want[p.Seq] = p.Digest
	}
	mustSettle(t, b, ack(outbox.Position{Epoch: 1, Seq: 1, Digest: want[1]}, record.Stored))
	delete(want, 1)
	closeBox(t, b)
	return dir, want
}

// TestFlippedBitNeverGivesAWrongRecord opens copies of a store with one bit
// altered anywhere. Whatever is handed out must be a record that was put.
func TestFlippedBitNeverGivesAWrongRecord(t *testing.T) {
	dir, want := filled(t, 60)
	path := filepath.Join(dir, "outbox.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(good, "\x00"))
	rng, seed := seeded(t)
	refused, lost, intact := 0, 0, 0
	for range 250 {
		bad := bytes.Clone(good)
		at, bit := rng.IntN(used), rng.IntN(8)
		bad[at] ^= 1 << bit
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := outbox.Open(t.Context(), dir, options(t))
		if err != nil {
			if !errors.Is(err, outbox.ErrDamaged) {
				t.Fatalf("seed %d, byte %d bit %d: Open = %v, want ErrDamaged or success", seed, at, bit, err)
			}
			refused++
			continue
		}
		items, err := b.Due(t.Context(), farFuture(), 1<<20, 1<<30)
		if err != nil && !errors.Is(err, outbox.ErrDamaged) {
			t.Fatalf("seed %d, byte %d bit %d: Due = %v", seed, at, bit, err)
		}
		for _, it := range items {
			if it.Digest != want[it.Seq] || record.Digest(it.Raw) != it.Digest {
				t.Fatalf("seed %d, byte %d bit %d: a wrong record under seq %d", seed, at, bit, it.Seq)
			}
		}
		if len(items) == len(want) {
			intact++
		} else {
			lost++
		}
		closeBox(t, b)
	}
	t.Logf("250 bits: %d stores refused, %d with records set aside, %d whole", refused, lost, intact)
}

// TestDamagedRecordIsSetAsideAndTheOthersFlow alters bytes inside one record.
func TestDamagedRecordIsSetAsideAndTheOthersFlow(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	var all []outbox.Position
	for range 20 {
		all = append(all, mustPut(t, b, `{}`))
	}
	closeBox(t, b)
	path := filepath.Join(dir, "outbox.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Record values carry their epoch and checksum in a header that begins
	// with version, kind and no attempts: find the last such header.
	head := []byte{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	at := bytes.LastIndex(file, head)
	if at < 0 {
		t.Fatal("no record header in the file")
	}
	file[at+100] ^= 0x10
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, dir)
	defer closeBox(t, b)
	items := allDue(t, b)
	if len(items) != len(all)-1 {
		t.Fatalf("%d due, want all but the damaged of %d", len(items), len(all))
	}
	list, err := b.List(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, e := range list {
		if e.Quarantine == "damaged" {
			damaged++
			raw, err := b.Show(t.Context(), e.Seq)
			if !errors.Is(err, outbox.ErrDamaged) || len(raw) == 0 {
				t.Errorf("Show(%d) = %d bytes, %v, want the stored bytes and ErrDamaged", e.Seq, len(raw), err)
			}
			if err := b.Retry(t.Context(), e.Seq); !errors.Is(err, outbox.ErrDamaged) {
				t.Errorf("Retry(%d) = %v, want ErrDamaged", e.Seq, err)
			}
		}
	}
	if damaged != 1 {
		t.Errorf("%d records in quarantine as damaged, want 1", damaged)
	}
	if err := b.Check(t.Context()); !errors.Is(err, outbox.ErrDamaged) {
		t.Errorf("Check = %v, want ErrDamaged", err)
	}
	if p := mustPut(t, b, `{}`); p.Seq != 21 {
		t.Errorf("next seq = %d, want 21", p.Seq)
	}
}

// FuzzOpen lets strangers write the store's file: whatever it holds, Open
// returns, and nothing unsigned comes out.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("not a store"), uint32(0))
	f.Add([]byte{}, uint32(20))
	f.Add(bytes.Repeat([]byte{0xff}, 64), uint32(40000))
	template := func(tb testing.TB) []byte {
		dir := tb.TempDir()
		b := openBox(tb, dir)
		for range 10 {
			mustPut(tb, b, `{}`)
		}
		closeBox(tb, b)
		raw, err := os.ReadFile(filepath.Join(dir, "outbox.db"))
		if err != nil {
			tb.Fatal(err)
		}
		return raw
	}
	good := template(f)
	f.Fuzz(func(t *testing.T, patch []byte, at uint32) {
		file := bytes.Clone(good)
		copy(file[int(at)%len(file):], patch)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "outbox.db"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := outbox.Open(t.Context(), dir, options(t))
		if err != nil {
			return
		}
		defer b.Close()
		items, err := b.Due(t.Context(), farFuture(), 1<<20, 1<<30)
		if err != nil {
			return
		}
		for _, it := range items {
			if _, err := record.Verify(it.Raw, keys); err != nil {
				t.Errorf("seq %d: %v", it.Seq, err)
			}
		}
	})
}
