package outbox_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/outbox/boltpages"
	"github.com/edgeverify/edgeverify/sync/record"
)

// filled makes a closed store of n records, the first delivered, and returns its
// folder and digests. A salvage may bring the delivered one back.
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
	closeBox(t, b)
	return dir, want
}

// recordsOfOnePage returns the most records that one page of a store holds.
func recordsOfOnePage(store []byte) int {
	const pageSize = 16 << 10
	most, pages := 0, uint64(len(store)/pageSize)
	for id := range pages {
		n := 0
		for _, e := range boltpages.Find(bytes.NewReader(store), pageSize, id, pages) {
			if len(e.Key) == 8 && len(e.Value) > 200 {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// TestFlippedBitNeverGivesAWrongRecord opens copies of a store with one bit
// altered anywhere. Whatever is handed out must be a record that was put; at most
// the records of one page are missing, and a gap record says so wherever the
// epoch rose.
func TestFlippedBitNeverGivesAWrongRecord(t *testing.T) {
	dir, want := filled(t, 60)
	path := filepath.Join(dir, "outbox.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := os.ReadFile(filepath.Join(dir, "outbox.epoch"))
	if err != nil {
		t.Fatal(err)
	}
	bound := recordsOfOnePage(good)
	if bound == 0 || bound > len(want)/2 {
		t.Fatalf("%d of %d records on one page, want several pages", bound, len(want))
	}
	used := len(bytes.TrimRight(good, "\x00"))
	rng, seed := seeded(t)
	salvaged, lost, intact := 0, 0, 0
	for range 150 {
		bad := bytes.Clone(good)
		at, bit := rng.IntN(used), rng.IntN(8)
		bad[at] ^= 1 << bit
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "outbox.db"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "outbox.epoch"), anchor, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := outbox.Open(t.Context(), dir, options(t))
		if err != nil {
			t.Fatalf("seed %d, byte %d bit %d: Open = %v, want success or a salvage", seed, at, bit, err)
		}
		items, err := b.Due(t.Context(), farFuture(), 1<<20, 1<<30)
		if err != nil && !errors.Is(err, outbox.ErrDamaged) {
			t.Fatalf("seed %d, byte %d bit %d: Due = %v", seed, at, bit, err)
		}
		old, stated := 0, false
		for _, it := range items {
			if _, err := record.Verify(it.Raw, keys); err != nil {
				t.Fatalf("seed %d, byte %d bit %d: %v", seed, at, bit, err)
			}
			if it.Kind == record.Gap {
				salvaged++
				stated = true
				continue
			}
			if it.Digest != want[it.Seq] {
				t.Fatalf("seed %d, byte %d bit %d: a wrong record under seq %d", seed, at, bit, it.Seq)
			}
			if it.Seq > 1 {
				old++
			}
		}
		if missing := len(want) - 1 - old; missing > bound {
			t.Errorf("seed %d, byte %d bit %d: %d records missing, want at most the %d of one page", seed, at, bit, missing, bound)
		}
		if s, err := b.Stats(t.Context()); err != nil || stated != (s.Epoch > 1) {
			t.Errorf("seed %d, byte %d bit %d: epoch %d, %v, gap record %t", seed, at, bit, s.Epoch, err, stated)
		}
		if old == len(want)-1 {
			intact++
		} else {
			lost++
		}
		closeBox(t, b)
	}
	t.Logf("150 bits: %d stores salvaged, %d with records missing or set aside, %d whole", salvaged, lost, intact)
}

// damageLastRecord alters bytes inside one record, everywhere in the file.
func damageLastRecord(t *testing.T, dir string) {
	t.Helper()
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
	// Pages that bbolt has freed may hold copies of it.
	value := bytes.Clone(file[at : at+100])
	for at := 0; ; at++ {
		next := bytes.Index(file[at:], value)
		if next < 0 {
			break
		}
		at += next
		file[at+99] ^= 0x10
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
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
	damageLastRecord(t, dir)
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

// TestBrokenStoreIsSalvagedUnderANewEpoch breaks the file as a whole in several
// ways. What is left must be handed out, and a signed record must state the gap.
func TestBrokenStoreIsSalvagedUnderANewEpoch(t *testing.T) {
	const page = 16 << 10
	for name, breakIt := range map[string]func([]byte) []byte{
		"both meta pages zeroed": func(f []byte) []byte { clear(f[:2*page]); return f },
		"meta pages swapped into nonsense": func(f []byte) []byte {
			copy(f[:2*page], bytes.Repeat([]byte("nonsense"), 2*page/8))
			return f
		},
		"second half cut off": func(f []byte) []byte {
			n := len(bytes.TrimRight(f, "\x00"))
			return f[:n/2]
		},
		"empty": func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := filled(t, 60)
			path := filepath.Join(dir, "outbox.db")
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, breakIt(file), 0o600); err != nil {
				t.Fatal(err)
			}
			b := openBox(t, dir)
			held := map[uint64]bool{}
			var gap record.Envelope
			for seq, it := range recordsOf(t, b) {
				if it.Kind == record.Gap {
					if gap, err = record.Verify(it.Raw, keys); err != nil {
						t.Fatal(err)
					}
					continue
				}
				held[seq] = true
				if it.Digest != want[seq] {
					t.Errorf("seq %d is not what was put", seq)
				}
				e, err := record.Verify(it.Raw, keys)
				if err != nil {
					t.Fatal(err)
				}
				if pos, err := b.Put(t.Context(), e.RID, e.Kind, e.Body); err != nil || pos != it.Position {
					t.Errorf("Put of seq %d again = %+v, %v, want its position", seq, pos, err)
				}
			}
			var body struct {
				Epoch   uint32      `json:"epoch"`
				NextSeq uint64      `json:"next_seq"`
				Held    [][2]uint64 `json:"held"`
			}
			if err := json.Unmarshal(gap.Body, &body); err != nil {
				t.Fatalf("gap record %q: %v", gap.Body, err)
			}
			stated := map[uint64]bool{}
			for _, r := range body.Held {
				for seq := r[0]; seq <= r[1]; seq++ {
					stated[seq] = true
				}
			}
			if !maps.Equal(held, stated) || body.Epoch != 1 || gap.Epoch != 2 || gap.Prev != "" {
				t.Errorf("gap of epoch %d states %s, the box holds %v", gap.Epoch, gap.Body, held)
			}
			t.Logf("%d of 59 queued records salvaged", len(held))
			mustCheck(t, b)
			if p := mustPut(t, b, `{}`); p.Epoch != 2 {
				t.Errorf("epoch after a salvage = %d, want 2", p.Epoch)
			}
			closeBox(t, b)
			if kept, err := filepath.Glob(path + ".damaged-*"); err != nil || len(kept) != 1 {
				t.Errorf("damaged files kept: %v, %v, want one", kept, err)
			}
			b = openBox(t, dir) // and it stays in order
			mustCheck(t, b)
			closeBox(t, b)
		})
	}
}

func TestStoreOfAnotherKeyIsRefusedAndLeftAlone(t *testing.T) {
	dir, _ := filled(t, 5)
	path := filepath.Join(dir, "outbox.db")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Sealer = aesGCM{aead}
	if _, err := outbox.Open(t.Context(), dir, o); !errors.Is(err, outbox.ErrDamaged) {
		t.Errorf("Open with another key = %v, want ErrDamaged", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the store was changed, %v", err)
	}
	b := openBox(t, dir)
	defer closeBox(t, b)
	if p := mustPut(t, b, `{}`); p.Epoch != 1 {
		t.Errorf("epoch = %d, want 1", p.Epoch)
	}
}
