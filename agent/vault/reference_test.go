package vault_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/agent/vault"
)

func TestReferencesAreStoredReplacedAndDeleted(t *testing.T) {
	ctx := t.Context()
	v := open(t, t.TempDir(), vault.Options{})
	enrolled := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, first := range []float32{0.25, -0.5} {
		want := vault.Reference{ID: newID(t), Embedding: vault.Embedding{first, 1e-7}, Model: "e1", Enrolled: enrolled}
		if err := v.PutReference(ctx, "anna@example.org", want, newID(t), []byte("{}")); err != nil {
			t.Fatal(err)
		}
		got, err := v.Reference(ctx, "anna@example.org")
		if err != nil || got.ID != want.ID || !slices.Equal(got.Embedding, want.Embedding) || got.Model != "e1" || !got.Enrolled.Equal(enrolled) {
			t.Errorf("Reference = %v, %v, want %v", got, err, want)
		}
	}
	if _, err := v.Reference(ctx, "ben@example.org"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Reference of another account = %v, want ErrNotFound", err)
	}
	if err := v.DeleteReference(ctx, "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Reference(ctx, "anna@example.org"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Reference after deletion = %v, want ErrNotFound", err)
	}
	if err := v.DeleteReference(ctx, "anna@example.org"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("second DeleteReference = %v, want ErrNotFound", err)
	}
}

func TestAReferenceAndItsRecordAreKeptTogether(t *testing.T) {
	ctx := t.Context()
	v := open(t, t.TempDir(), vault.Options{})
	reference := vault.Reference{ID: newID(t), Embedding: vault.Embedding{1}, Model: "e1"}
	rid := newID(t)
	if err := v.PutReference(ctx, "anna", reference, rid, []byte("enrolled")); err != nil {
		t.Fatal(err)
	}
	var got []vault.Outcome
	for o, err := range v.Pending(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o)
	}
	if len(got) != 1 || got[0].RID != rid || got[0].Verification != "" || string(got[0].Payload) != "enrolled" {
		t.Errorf("Pending = %v, want the outcome %s of no verification", got, rid)
	}
	if err := v.MarkDone(ctx, rid); err != nil {
		t.Errorf("MarkDone = %v", err)
	}
	// A record that conflicts takes the reference down with it.
	if err := v.PutReference(ctx, "ben", reference, newID(t), nil); err == nil {
		t.Error("PutReference without a payload = nil, want an error")
	}
	if _, err := v.Reference(ctx, "ben"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Reference whose record was refused = %v, want ErrNotFound", err)
	}
}

func TestAReferenceThatCannotBeComparedIsRefused(t *testing.T) {
	v := open(t, t.TempDir(), vault.Options{})
	for name, r := range map[string]vault.Reference{
		"no model":     {Embedding: vault.Embedding{1}},
		"no embedding": {Model: "e1"},
		"NaN":          {Model: "e1", Embedding: vault.Embedding{float32(math.NaN())}},
		"infinite":     {Model: "e1", Embedding: vault.Embedding{float32(math.Inf(1))}},
		"too long":     {Model: "e1", Embedding: make(vault.Embedding, 5000)},
	} {
		if err := v.PutReference(t.Context(), "a", r, newID(t), []byte("{}")); err == nil {
			t.Errorf("PutReference with %s = nil, want an error", name)
		}
	}
}
