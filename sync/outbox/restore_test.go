package outbox_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// gapOf returns the one gap record in the queue and what it states.
func gapOf(t *testing.T, b *outbox.Box) (gap record.Envelope, cause string, epoch uint32, next uint64) {
	t.Helper()
	found := 0
	for _, it := range allDue(t, b) {
		if it.Kind != record.Gap {
			continue
		}
		found++
		var err error
		if gap, err = record.Verify(it.Raw, keys); err != nil {
			t.Fatal(err)
		}
	}
	var body struct {
		Cause   string `json:"cause"`
		Epoch   uint32 `json:"epoch"`
		NextSeq uint64 `json:"next_seq"`
	}
	if found != 1 {
		t.Fatalf("%d gap records in the queue, want 1", found)
	}
	if err := json.Unmarshal(gap.Body, &body); err != nil {
		t.Fatal(err)
	}
	return gap, body.Cause, body.Epoch, body.NextSeq
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOlderCopyOfTheSameEpochBeginsANewEpoch(t *testing.T) {
	dir, aside := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	store := filepath.Join(dir, "outbox.db")
	b := openBox(t, dir)
	mustPut(t, b, `{"n":1}`)
	closeBox(t, b)
	copyFile(t, aside, store)
	b = openBox(t, dir)
	second := mustPut(t, b, `{"n":2}`)
	closeBox(t, b)
	copyFile(t, store, aside)

	b = openBox(t, dir)
	defer closeBox(t, b)
	third := mustPut(t, b, `{"n":3}`)
	if third.Epoch != second.Epoch+1 {
		t.Errorf("after restoring a copy without %+v, Put = %+v, want epoch %d", second, third, second.Epoch+1)
	}
	gap, cause, epoch, next := gapOf(t, b)
	if gap.Epoch != third.Epoch || gap.Prev != "" || cause != "store_restored" || epoch != second.Epoch || next != second.Seq {
		t.Errorf("gap of epoch %d, prev %q states %s, epoch %d, next %d; want epoch %d, its first, of store_restored, %d, %d",
			gap.Epoch, gap.Prev, cause, epoch, next, third.Epoch, second.Epoch, second.Seq)
	}
	mustCheck(t, b)
}

// TestCutBetweenAnchorAndStoreCostsAnEpoch leaves what a cut leaves between the
// two writes of a start: the new anchor beside the store of the start before.
func TestCutBetweenAnchorAndStoreCostsAnEpoch(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	first := mustPut(t, b, `{}`)
	closeBox(t, b)
	path := filepath.Join(dir, "outbox.epoch")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d OF-THE-NEXT-START\n", first.Epoch), 0o600); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, dir)
	if items := recordsOf(t, b); items[first.Seq].Position != first {
		t.Errorf("record of before the cut = %+v, want %+v", items[first.Seq].Position, first)
	}
	second := mustPut(t, b, `{}`)
	if second.Epoch != first.Epoch+1 {
		t.Errorf("epoch = %d, want %d", second.Epoch, first.Epoch+1)
	}
	mustCheck(t, b)
	closeBox(t, b)
	b = openBox(t, dir)
	defer closeBox(t, b)
	if p := mustPut(t, b, `{}`); p.Epoch != second.Epoch {
		t.Errorf("epoch after a start in order = %d, want still %d", p.Epoch, second.Epoch)
	}
}

func zeroMetas(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "outbox.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 32<<10), 0); err != nil {
		t.Fatal(err)
	}
}

func TestAFullStoreIsSalvagedWhole(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	all := fill(t, b, record.Verification)
	closeBox(t, b)
	zeroMetas(t, dir)
	b = openBox(t, dir)
	defer closeBox(t, b)
	items := recordsOf(t, b)
	for _, p := range all {
		if items[p.Seq].Position != p {
			t.Fatalf("seq %d after a salvage = %+v, want %+v", p.Seq, items[p.Seq].Position, p)
		}
	}
	if _, cause, _, next := gapOf(t, b); cause != "store_damaged" || next != all[len(all)-1].Seq+1 {
		t.Errorf("gap states %s, next %d, want store_damaged, %d", cause, next, all[len(all)-1].Seq+1)
	}
	if got, want := drain(t, b), len(all)+1; got != want {
		t.Errorf("drained %d, want %d", got, want)
	}
	mustPut(t, b, `{}`)
	mustCheck(t, b)
	t.Logf("%d records", len(all))
}

func TestARecordThatASalvageLostMayBePutAgain(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	rids := map[string]outbox.Position{}
	for range 20 {
		rid := newRID(t)
		p, err := b.Put(t.Context(), rid, record.Verification, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		rids[rid] = p
	}
	closeBox(t, b)
	zeroMetas(t, dir)
	damageLastRecord(t, dir)
	b = openBox(t, dir)
	defer closeBox(t, b)
	items := recordsOf(t, b)
	again := 0
	for rid, before := range rids {
		p, err := b.Put(t.Context(), rid, record.Verification, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, held := items[before.Seq]; held {
			if p != before {
				t.Errorf("Put of %+v again = %+v, want the same", before, p)
			}
			continue
		}
		again++
		if p.Epoch != before.Epoch+1 || recordsOf(t, b)[p.Seq].Position != p {
			t.Errorf("Put of the lost %+v = %+v, want a new record that is due", before, p)
		}
	}
	if again == 0 {
		t.Error("no record was lost: the test proves nothing")
	}
}

// TestAcknowledgedRecordThatIsDamagedLeavesTheQueue settles a record whose bytes
// went bad after they were sent.
func TestAcknowledgedRecordThatIsDamagedLeavesTheQueue(t *testing.T) {
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
	before, err := b.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var acks []record.Acknowledgement
	for _, p := range all {
		acks = append(acks, ack(p, record.Stored))
	}
	s := mustSettle(t, b, acks...)
	if len(s.Removed) != len(all)-1 || len(s.Quarantined) != 1 {
		t.Errorf("Settle removed %d and set %v aside, want %d and one", len(s.Removed), s.Quarantined, len(all)-1)
	}
	after, err := b.Stats(t.Context())
	if err != nil || before.Queued != len(all) || after.Queued != 0 || after.Quarantined != 1 {
		t.Errorf("Stats before = %+v, after = %+v, %v, want 20 queued, then none and 1 set aside", before, after, err)
	}
}

func TestGapNamesTheEpochOfTheRecordsAfterACutWithinASalvage(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	p := mustPut(t, b, `{}`)
	closeBox(t, b)
	zeroMetas(t, dir)
	// A salvage was cut after it had written the anchor.
	path := filepath.Join(dir, "outbox.epoch")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d CUT\n", p.Epoch+1), 0o600); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, dir)
	defer closeBox(t, b)
	if gap, _, epoch, next := gapOf(t, b); gap.Epoch != p.Epoch+2 || epoch != p.Epoch || next != p.Seq+1 {
		t.Errorf("gap of epoch %d states epoch %d, next %d, want %d, %d, %d", gap.Epoch, epoch, next, p.Epoch+2, p.Epoch, p.Seq+1)
	}
	raw, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(raw), fmt.Sprint(p.Epoch+2, " ")) {
		t.Errorf("anchor = %q, %v, want epoch %d", raw, err, p.Epoch+2)
	}
}
