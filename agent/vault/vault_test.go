package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/agent/verify"
)

// deviceKey is a device key in memory.
type deviceKey struct{ aead *subtle.AESGCM }

func (k deviceKey) Seal(plaintext, aad []byte) ([]byte, error) { return k.aead.Encrypt(plaintext, aad) }
func (k deviceKey) Open(ciphertext, aad []byte) ([]byte, error) {
	return k.aead.Decrypt(ciphertext, aad)
}

func newDeviceKey(fill byte) (deviceKey, error) {
	aead, err := subtle.NewAESGCM(bytes.Repeat([]byte{fill}, 32))
	return deviceKey{aead}, err
}

func key(t testing.TB, fill byte) deviceKey {
	t.Helper()
	k, err := newDeviceKey(fill)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open opens the vault in dir with the usual key and closes it with the test.
func open(t testing.TB, dir string, o vault.Options) *vault.Vault {
	t.Helper()
	v, err := vault.Open(dir, key(t, 1), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return v
}

func newID(t testing.TB) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// submitted returns a verification that waits for its examination.
func submitted(t testing.TB) verify.Verification {
	t.Helper()
	v := verify.New(newID(t), time.Now().UTC().Truncate(time.Second), verify.Request{})
	if err := v.Apply(verify.Event{Action: verify.Submit, At: v.Created, By: verify.Actor{Role: verify.Operator}}); err != nil {
		t.Fatal(err)
	}
	return v
}

// approved returns v after the engine approved it, with personal data.
func approved(t testing.TB, v verify.Verification) verify.Verification {
	t.Helper()
	if err := v.Conclude(verify.Decision{
		Status: verify.Approved, Confidence: 96, Policy: "p1", Checks: []verify.Check{{Name: verify.Quality, Result: verify.True}},
	}, v.Created); err != nil {
		t.Fatal(err)
	}
	v.Extracted = map[string]verify.Field{"surname": {Value: secretName, Source: "mrz", Proof: "check_digit"}}
	return v
}

const secretName = "Zanzibarowska"

func pending(t testing.TB, v *vault.Vault) []vault.Outcome {
	t.Helper()
	var all []vault.Outcome
	for o, err := range v.Pending(t.Context()) {
		if err != nil {
			t.Fatalf("Pending: %v", err)
		}
		all = append(all, o)
	}
	return all
}

func TestAnOutcomeIsShownOnlyWhenItsPayloadIsDone(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	v := open(t, dir, vault.Options{})
	before := submitted(t)
	if err := v.Save(ctx, before); err != nil {
		t.Fatal(err)
	}
	after, rid := approved(t, before), newID(t)
	if err := v.Commit(ctx, rid, after, []byte("payload")); err != nil {
		t.Fatal(err)
	}
	got, err := v.Verification(ctx, before.ID)
	if err != nil || got.Status != verify.Submitted || len(got.Extracted) != 0 {
		t.Errorf("Verification while pending = %v, %v, want submitted", got, err)
	}
	list, _, err := v.List(ctx, "", 10)
	if err != nil || len(list) != 1 || list[0].Status != verify.Submitted {
		t.Errorf("List while pending = %v, %v, want one submitted", list, err)
	}
	if err := v.MarkDone(ctx, rid); err != nil {
		t.Fatal(err)
	}
	got, err = v.Verification(ctx, before.ID)
	if err != nil || got.Status != verify.Approved || got.Extracted["surname"].Value != secretName || len(got.History) != 2 {
		t.Errorf("Verification when done = %v, %v, want approved with data and history", got, err)
	}
	if left := pending(t, v); len(left) != 0 {
		t.Errorf("Pending when done = %v, want none", left)
	}
}

func TestAnOutcomeWithoutAStateBeforeIsNotFoundUntilDone(t *testing.T) {
	v := open(t, t.TempDir(), vault.Options{})
	outcome, rid := approved(t, submitted(t)), newID(t)
	if err := v.Commit(t.Context(), rid, outcome, []byte("payload")); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Verification(t.Context(), outcome.ID); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Verification while pending = %v, %v, want ErrNotFound", got, err)
	}
}

func TestPendingSurvivesClosingInTheOrderOfCommits(t *testing.T) {
	dir := t.TempDir()
	v, err := vault.Open(dir, key(t, 1), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want []vault.Outcome
	for i := range 20 {
		o := approved(t, submitted(t))
		// The rids descend: a clock that jumps back must not reorder.
		rid := fmt.Sprintf("rid-%02d", 99-i)
		payload := fmt.Appendf(nil, "payload %d", i)
		if err := v.Commit(t.Context(), rid, o, payload); err != nil {
			t.Fatal(err)
		}
		want = append(want, vault.Outcome{RID: rid, Verification: o.ID, Payload: payload})
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v = open(t, dir, vault.Options{})
	got := pending(t, v)
	if !slices.EqualFunc(got, want, func(a, b vault.Outcome) bool {
		return a.RID == b.RID && a.Verification == b.Verification && bytes.Equal(a.Payload, b.Payload)
	}) {
		t.Errorf("Pending = %v, want %v", got, want)
	}
	// Marking while iterating neither skips nor repeats.
	seen := 0
	for o, err := range v.Pending(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if err := v.MarkDone(t.Context(), o.RID); err != nil {
			t.Fatal(err)
		}
	}
	if left := pending(t, v); seen != len(want) || len(left) != 0 {
		t.Errorf("marked %d of %d, %d left", seen, len(want), len(left))
	}
}

func TestCommitIsIdempotentByRID(t *testing.T) {
	ctx := t.Context()
	v := open(t, t.TempDir(), vault.Options{})
	first, other, rid := approved(t, submitted(t)), approved(t, submitted(t)), newID(t)
	for range 2 {
		if err := v.Commit(ctx, rid, first, []byte("payload")); err != nil {
			t.Fatalf("Commit = %v, want nil", err)
		}
	}
	if err := v.Commit(ctx, rid, first, []byte("another")); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("Commit of another payload = %v, want ErrConflict", err)
	}
	if err := v.Commit(ctx, rid, other, []byte("payload")); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("Commit of another verification = %v, want ErrConflict", err)
	}
	if err := v.Commit(ctx, newID(t), first, []byte("payload")); !errors.Is(err, vault.ErrPending) {
		t.Errorf("a second outcome while one is pending = %v, want ErrPending", err)
	}
	if err := v.Save(ctx, first); !errors.Is(err, vault.ErrPending) {
		t.Errorf("Save while an outcome is pending = %v, want ErrPending", err)
	}
	for range 2 {
		if err := v.MarkDone(ctx, rid); err != nil {
			t.Errorf("MarkDone = %v, want nil", err)
		}
	}
	if err := v.Commit(ctx, rid, first, []byte("payload")); err != nil || len(pending(t, v)) != 0 {
		t.Errorf("Commit of what is done = %v, want nil and nothing pending", err)
	}
	if err := v.MarkDone(ctx, "unknown"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("MarkDone(unknown) = %v, want ErrNotFound", err)
	}
}

func TestListPagesFromTheNewestWithoutGapOrRepetition(t *testing.T) {
	v := open(t, t.TempDir(), vault.Options{})
	var want []string
	for range 7 {
		s := submitted(t)
		if err := v.Save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		want = append(want, s.ID)
	}
	slices.Sort(want)
	slices.Reverse(want)
	for _, limit := range []int{1, 3, 7, 8} {
		var got []string
		for cursor, page := "", 0; page == 0 || cursor != ""; page++ {
			list, next, err := v.List(t.Context(), cursor, limit)
			if err != nil || len(list) > limit {
				t.Fatalf("List(%q, %d) = %d entries, %v", cursor, limit, len(list), err)
			}
			for _, s := range list {
				got = append(got, s.ID)
			}
			cursor = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("List by %d = %v, want %v", limit, got, want)
		}
	}
	if list, _, err := v.List(t.Context(), "zzz", 10); err != nil || len(list) != 7 {
		t.Errorf("List below a cursor above all = %d entries, %v, want 7", len(list), err)
	}
	for _, limit := range []int{0, vault.MaxList + 1} {
		if _, _, err := v.List(t.Context(), "", limit); err == nil {
			t.Errorf("List with limit %d = nil, want an error", limit)
		}
	}
}

func TestASecondOpenSaysThatTheFolderIsInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, vault.Options{})
	if v, err := vault.Open(dir, key(t, 1), vault.Options{}); !errors.Is(err, vault.ErrInUse) {
		t.Errorf("second Open = %v, %v, want ErrInUse", v, err)
	}
}

func TestManyMayCommitMarkAndReadAtOnce(t *testing.T) {
	v := open(t, t.TempDir(), vault.Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				rid, outcome := newID(t), approved(t, submitted(t))
				if err := v.Commit(t.Context(), rid, outcome, []byte(rid)); err != nil {
					t.Errorf("Commit = %v", err)
				}
				for _, err := range v.Pending(t.Context()) {
					if err != nil {
						t.Errorf("Pending: %v", err)
					}
				}
				if err := v.MarkDone(t.Context(), rid); err != nil {
					t.Errorf("MarkDone = %v", err)
				}
				if got, err := v.Verification(t.Context(), outcome.ID); err != nil || got.Status != verify.Approved {
					t.Errorf("Verification = %v, %v, want approved", got, err)
				}
			}
		})
	}
	all.Wait()
	if err := v.Check(); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
}

func TestACancelledContextDoesNothing(t *testing.T) {
	v := open(t, t.TempDir(), vault.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Save(ctx, submitted(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("Save = %v, want context.Canceled", err)
	}
	if list, _, err := v.List(t.Context(), "", 10); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v, want nothing", list, err)
	}
}

func TestBadInputIsRefusedByName(t *testing.T) {
	v := open(t, t.TempDir(), vault.Options{})
	outcome := approved(t, submitted(t))
	nameless := outcome
	nameless.ID = ""
	for what, err := range map[string]error{
		"rid":             v.Commit(t.Context(), "", outcome, []byte("x")),
		"verification id": v.Commit(t.Context(), "r", nameless, []byte("x")),
		"payload":         v.Commit(t.Context(), "r", outcome, nil),
		"1 to 16384":      v.Commit(t.Context(), "r", outcome, make([]byte, vault.MaxPayload+1)),
		"account":         v.PutReference(t.Context(), "", vault.Reference{}, newID(t), []byte("{}")),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error = %v, want it to name %q", err, what)
		}
	}
	if _, err := vault.Open(t.TempDir(), key(t, 1), vault.Options{Quota: 1000}); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("Open with a quota of 1000 = %v, want it to name the quota", err)
	}
}
