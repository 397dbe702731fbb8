package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

func TestPutIsIdempotentByRIDForEver(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	rid := newRID(t)
	first, err := b.Put(t.Context(), rid, record.Verification, []byte(`{"a": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	again := func(when string, b *outbox.Box) {
		t.Helper()
		got, err := b.Put(t.Context(), rid, record.Verification, []byte(`{"a":1}`))
		if err != nil || got != first {
			t.Errorf("Put %s = %+v, %v, want %+v", when, got, err, first)
		}
	}
	again("while queued", b)
	mustSettle(t, b, ack(first, record.Stored))
	again("after delivery", b)
	if n := len(allDue(t, b)); n != 0 {
		t.Errorf("%d records due after delivery, want 0", n)
	}
	closeBox(t, b)
	b = openBox(t, dir)
	defer closeBox(t, b)
	again("after a restart", b)
	pos, ok, err := b.Position(rid)
	if pos != first || !ok || err != nil {
		t.Errorf("Position = %+v, %v, %v, want %+v", pos, ok, err, first)
	}
}

func TestSameRIDWithAnotherBodyOrKindConflicts(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	rid := newRID(t)
	if _, err := b.Put(t.Context(), rid, record.Verification, []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind record.Kind
		body string
	}{{record.Verification, `{"a":2}`}, {record.Review, `{"a":1}`}} {
		if _, err := b.Put(t.Context(), rid, c.kind, []byte(c.body)); !errors.Is(err, outbox.ErrConflict) {
			t.Errorf("Put(%s, %s) = %v, want ErrConflict", c.kind, c.body, err)
		}
	}
	verifyChain(t, allDue(t, b), 1)
}

func TestPutRefusesWhatIsNoRecord(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	huge := `{"a":"` + strings.Repeat("x", record.MaxSize) + `"}`
	for name, c := range map[string]struct {
		rid  string
		kind record.Kind
		body string
	}{
		"rid of version 4": {uuid.NewString(), record.Health, `{}`},
		"empty rid":        {"", record.Health, `{}`},
		"unknown kind":     {newRID(t), "rumour", `{}`},
		"array":            {newRID(t), record.Health, `[]`},
		"empty body":       {newRID(t), record.Health, ``},
		"two objects":      {newRID(t), record.Health, `{}{}`},
		"too large":        {newRID(t), record.Health, huge},
	} {
		if _, err := b.Put(t.Context(), c.rid, c.kind, []byte(c.body)); !errors.Is(err, record.ErrInvalid) {
			t.Errorf("%s: Put = %v, want record.ErrInvalid", name, err)
		}
	}
	if p := mustPut(t, b, `{}`); p.Seq != 1 {
		t.Errorf("seq after refusals = %d, want 1: a refusal must leave no gap", p.Seq)
	}
}

func TestConcurrentPutsGiveADenseVerifiableChain(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				mustPut(t, b, fmt.Sprintf(`{"w":%d,"i":%d}`, w, i))
			}
		})
	}
	wg.Wait()
	verifyChain(t, allDue(t, b), 1)
	mustCheck(t, b)
	closeBox(t, b)

	b = openBox(t, dir)
	defer closeBox(t, b)
	if p := mustPut(t, b, `{}`); p.Seq != 201 || p.Epoch != 1 {
		t.Errorf("position after restart = epoch %d seq %d, want 1, 201", p.Epoch, p.Seq)
	}
	items := allDue(t, b)
	if len(items) != 201 {
		t.Fatalf("%d due, want 201", len(items))
	}
	verifyChain(t, items, 1)
}

func TestBodyIsCarriedVerbatim(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	body := `{"z":"<&>\u2028 é","a":1e400,"b":[1,2]}`
	mustPut(t, b, body)
	e, err := record.Verify(allDue(t, b)[0].Raw, keys)
	if err != nil || string(e.Body) != body {
		t.Errorf("body = %s, %v, want %s", e.Body, err, body)
	}
}

func TestOnlyTheMatchingAcknowledgementRemovesARecord(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	one, two := mustPut(t, b, `{"n":1}`), mustPut(t, b, `{"n":2}`)
	forged := ack(one, record.Stored)
	forged.Digest[0] ^= 1
	swapped := ack(one, record.Stored)
	swapped.Digest = two.Digest
	oldEpoch := ack(one, record.Stored)
	oldEpoch.Epoch = 0
	future := ack(one, record.Stored)
	future.Seq = 99
	silent := ack(one, "")
	for name, a := range map[string]record.Acknowledgement{
		"forged digest": forged, "digest of another record": swapped,
		"another epoch": oldEpoch, "a number never given": future, "no status": silent,
	} {
		s := mustSettle(t, b, a)
		if len(s.Alarms) != 1 || len(s.Removed)+len(s.Quarantined) != 0 {
			t.Errorf("%s: Settle = %+v, want one alarm and no change", name, s)
		}
	}
	if n := len(allDue(t, b)); n != 2 {
		t.Fatalf("%d records due after wrong acknowledgements, want 2", n)
	}
	if s := mustSettle(t, b, ack(one, record.Stored), ack(two, record.Duplicate)); len(s.Removed) != 2 {
		t.Errorf("Settle = %+v, want both removed", s)
	}
	if s := mustSettle(t, b, ack(one, record.Stored)); s.Repeated != 1 || len(s.Alarms) != 0 {
		t.Errorf("replayed Settle = %+v, want it counted as repeated", s)
	}
	mustCheck(t, b)
}

func TestRejectedRecordDoesNotBlockTheQueue(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	head, next := mustPut(t, b, `{"n":1}`), mustPut(t, b, `{"n":2}`)
	rejected := ack(head, record.Rejected)
	rejected.Code = record.CodeMalformed
	if s := mustSettle(t, b, rejected); len(s.Quarantined) != 1 {
		t.Fatalf("Settle = %+v, want one quarantined", s)
	}
	items := allDue(t, b)
	if len(items) != 1 || items[0].Seq != next.Seq {
		t.Fatalf("due = %v, want only the second", items)
	}
	list, err := b.List(t.Context(), 0, 10)
	if err != nil || len(list) != 2 || list[0].Quarantine != record.CodeMalformed {
		t.Errorf("List = %+v, %v, want the first in quarantine", list, err)
	}
	if err := b.Retry(t.Context(), head.Seq); err != nil {
		t.Fatal(err)
	}
	if items := allDue(t, b); len(items) != 2 || items[0].Seq != head.Seq {
		t.Errorf("due after Retry = %d records, want both in order", len(items))
	}
	if err := b.Retry(t.Context(), head.Seq); !errors.Is(err, outbox.ErrNotFound) {
		t.Errorf("second Retry = %v, want ErrNotFound", err)
	}
	mustCheck(t, b)
}

func TestRetryableRejectionKeepsTheRecordDue(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	a := ack(mustPut(t, b, `{}`), record.Rejected)
	a.Code = record.CodeUnavailable
	if s := mustSettle(t, b, a); len(s.Retryable) != 1 || len(allDue(t, b)) != 1 {
		t.Errorf("Settle = %+v, want it retryable and still due", s)
	}
}

func TestPostponedRecordWaitsAndTheEighthFailureSetsItAside(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	first, second := mustPut(t, b, `{"n":1}`), mustPut(t, b, `{"n":2}`)
	until := time.Now().Add(time.Hour)
	if err := b.Postpone(t.Context(), []uint64{first.Seq, 77}, until); err != nil {
		t.Fatal(err)
	}
	dueAt := func(when time.Time) []outbox.Item {
		t.Helper()
		items, err := b.Due(t.Context(), when, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return items
	}
	if items := dueAt(time.Now()); len(items) != 1 || items[0].Seq != second.Seq {
		t.Errorf("due now = %d records, want only the second", len(items))
	}
	if n := len(dueAt(until.Add(time.Second))); n != 2 {
		t.Errorf("due in an hour = %d records, want 2", n)
	}
	// The clock falls back to 1970: the record must not wait for decades.
	if n := len(dueAt(time.Unix(0, 0))); n != 2 {
		t.Errorf("due under a clock of 1970 = %d records, want 2", n)
	}
	for range 7 {
		if err := b.Postpone(t.Context(), []uint64{first.Seq}, until); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := b.Stats(t.Context()); err != nil || s.Quarantined != 1 || s.Queued != 1 {
		t.Errorf("Stats = %+v, %v, want one in quarantine and one queued", s, err)
	}
	mustCheck(t, b)
}

func TestDueKeepsToItsLimitsAndReturnsAtLeastOne(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	for range 5 {
		mustPut(t, b, `{}`)
	}
	for _, c := range []struct{ records, bytes, want int }{{2, 1 << 20, 2}, {10, 1, 1}, {10, 1 << 20, 5}} {
		items, err := b.Due(t.Context(), time.Now(), c.records, c.bytes)
		if err != nil || len(items) != c.want {
			t.Errorf("Due(%d, %d) = %d records, %v, want %d", c.records, c.bytes, len(items), err, c.want)
		}
	}
}

func TestArrivedSignalsAPut(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	mustPut(t, b, `{}`)
	select {
	case <-b.Arrived():
	default:
		t.Error("Arrived() holds nothing after Put")
	}
}

func TestCancelledPutReturnsAndClosedBoxRefuses(t *testing.T) {
	b := openBox(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Due(ctx, time.Now(), 1, 1)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Due with a cancelled context = %v, want context.Canceled", err)
	}
	closeBox(t, b)
	closeBox(t, b)
	if _, err := b.Put(t.Context(), newRID(t), record.Health, []byte(`{}`)); !errors.Is(err, outbox.ErrClosed) {
		t.Errorf("Put after Close = %v, want ErrClosed", err)
	}
	if _, err := b.Due(t.Context(), time.Now(), 1, 1); !errors.Is(err, outbox.ErrClosed) {
		t.Errorf("Due after Close = %v, want ErrClosed", err)
	}
}

func TestShowReturnsTheSignedBytes(t *testing.T) {
	b := openBox(t, t.TempDir())
	defer closeBox(t, b)
	p := mustPut(t, b, `{}`)
	raw, err := b.Show(t.Context(), p.Seq)
	if err != nil || record.Digest(raw) != p.Digest {
		t.Errorf("Show = %d bytes, %v, want the record", len(raw), err)
	}
	if _, err := b.Show(t.Context(), 9); !errors.Is(err, outbox.ErrNotFound) {
		t.Errorf("Show(9) = %v, want ErrNotFound", err)
	}
}

func TestFileHoldsNoPlaintext(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	mustPut(t, b, `{"marker":"PLAINTEXT-MARKER-1234567890"}`)
	p := mustPut(t, b, `{}`)
	raw, err := b.Show(t.Context(), p.Seq)
	if err != nil {
		t.Fatal(err)
	}
	closeBox(t, b)
	file, err := os.ReadFile(filepath.Join(dir, "outbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"PLAINTEXT-MARKER", "kiosk-7", string(raw[:24])} {
		if i := bytes.Index(file, []byte(s)); i >= 0 {
			t.Errorf("the file holds %q in clear at %d", s, i)
		}
	}
}

func TestLostStoreBeginsANewEpoch(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	mustPut(t, b, `{}`)
	closeBox(t, b)
	if err := os.Remove(filepath.Join(dir, "outbox.db")); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, dir)
	defer closeBox(t, b)
	if p := mustPut(t, b, `{}`); p.Epoch != 2 || p.Seq != 1 {
		t.Errorf("position in a new store = epoch %d seq %d, want 2, 1", p.Epoch, p.Seq)
	}
}

func TestOlderCopyOfTheStoreBeginsANewEpoch(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	mustPut(t, b, `{"n":1}`)
	closeBox(t, b)
	path := filepath.Join(dir, "outbox.db")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, dir) // epoch 2
	closeBox(t, b)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, dir)
	defer closeBox(t, b)
	p := mustPut(t, b, `{"n":2}`)
	if p.Epoch != 3 || p.Seq != 3 {
		t.Errorf("position = epoch %d seq %d, want 3, 3, after the gap record", p.Epoch, p.Seq)
	}
	raw, err := b.Show(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := record.Verify(raw, keys); err != nil || e.Prev != "" {
		t.Errorf("first record of an epoch has prev %q, %v, want none", e.Prev, err)
	}
	mustCheck(t, b)
}

func TestSecondProcessOnTheSameFolderSaysSo(t *testing.T) {
	dir := t.TempDir()
	b := openBox(t, dir)
	defer closeBox(t, b)
	if _, err := outbox.Open(t.Context(), dir, options(t)); !errors.Is(err, outbox.ErrInUse) {
		t.Errorf("second Open in this process = %v, want ErrInUse", err)
	}
	out, err := child("open", dir).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(outbox.ErrInUse.Error())) {
		t.Errorf("second process: %v, says %q, want %q", err, out, outbox.ErrInUse)
	}
}
