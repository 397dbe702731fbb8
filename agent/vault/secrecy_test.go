package vault_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/agent/verify"
)

func TestAnEmbeddingCannotBeLogged(t *testing.T) {
	r := vault.Reference{ID: "r1", Embedding: vault.Embedding{0.8765}, Model: "e1"}
	var out bytes.Buffer
	// Without the time, whose digits may be any.
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, timeless), slog.NewJSONHandler(&out, timeless)} {
		slog.New(handler).Info("x", "r", r, "pointer", &r, "embedding", r.Embedding)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%f"} {
		fmt.Fprintf(&out, verb+verb, r, r.Embedding)
	}
	if strings.Contains(out.String(), "8765") {
		t.Errorf("the embedding appears in the log:\n%s", out.String())
	}
}

func TestTheFileHoldsNothingInClear(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	v := open(t, dir, vault.Options{})
	embedding := make(vault.Embedding, 128)
	var raw []byte
	for i := range embedding {
		embedding[i] = float32(math.Sin(float64(i)))
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(embedding[i]))
	}
	if err := v.PutReference(ctx, "anna@example.org", vault.Reference{Embedding: embedding, Model: "e1"}, newID(t), []byte("payload in clear")); err != nil {
		t.Fatal(err)
	}
	done, waits, rid := approved(t, submitted(t)), approved(t, submitted(t)), newID(t)
	for id, o := range map[string]verify.Verification{rid: done, newID(t): waits} {
		if err := v.Commit(ctx, id, o, []byte("payload in clear")); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.MarkDone(ctx, rid); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	// The id is a key and must be there, so that the search can find anything.
	if !bytes.Contains(file, []byte(done.ID)) {
		t.Fatalf("the file does not hold the id %s: it was not searched well", done.ID)
	}
	for what, secret := range map[string][]byte{
		"name": []byte(secretName), "account": []byte("anna@example"), "payload": []byte("payload in"),
		"embedding": raw[16:32], "embedding as text": fmt.Appendf(nil, "%v", float32(embedding[3])),
		"status": []byte("approved"),
	} {
		if bytes.Contains(file, secret) {
			t.Errorf("the file holds the %s in clear", what)
		}
	}
}

func TestAWrongKeyIsNamedAndDestroysNothing(t *testing.T) {
	dir := t.TempDir()
	v, err := vault.Open(dir, key(t, 1), vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := submitted(t)
	if err := v.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vault.db")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(dir, key(t, 2), vault.Options{}); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("Open with another key = %v, want ErrWrongKey", err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the attempt changed the file")
	}
	if got, err := open(t, dir, vault.Options{}).Verification(t.Context(), s.ID); err != nil || got.Status != verify.Submitted {
		t.Errorf("Verification with the right key = %v, %v, want submitted", got, err)
	}
}
