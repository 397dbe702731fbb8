package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"
)

// An Embedding is a face template. It cannot be printed, logged or marshalled.
type Embedding []float32

const redacted = "[embedding]"

// ErrEmbedding reports an attempt to serialise an embedding outside the vault.
var ErrEmbedding = errors.New("an embedding never leaves the vault in clear")

// Format hides the embedding from every verb of fmt.
func (Embedding) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the embedding from slog.
func (Embedding) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses with ErrEmbedding.
func (Embedding) MarshalJSON() ([]byte, error) { return nil, ErrEmbedding }

// A Reference is the enrolled face of an account. A comparison needs the model
// that made it: another model's embedding is comparable with nothing.
type Reference struct {
	ID        string    // of this enrolment, random; enrolling again gives another
	Embedding Embedding // finite, L2-normalised
	Model     string    // SHA-256 of the encoder, lower-case hex
	Enrolled  time.Time
}

// reference is the sealed value of bucketReferences.
type reference struct {
	ID        string    `json:"id"`
	Embedding []float32 `json:"embedding"`
	Model     string    `json:"model"`
	Enrolled  time.Time `json:"enrolled"`
}

// maxDimensions bounds an embedding; encoders in use have 128 to 1024.
const maxDimensions = 4096

// PutReference stores the reference of an account in place of an earlier one,
// together with the unsigned payload of the record that tells of it: both or
// neither survive a power cut. The payload is an outcome under its own rid; see
// Commit.
func (v *Vault) PutReference(ctx context.Context, account string, r Reference, rid string, payload []byte) error {
	if err := ended(ctx, "put reference"); err != nil {
		return err
	}
	if account == "" {
		return errors.New("put reference: no account")
	}
	if err := r.validate(); err != nil {
		return fmt.Errorf("put reference: %w", err)
	}
	key := v.keys.account(account)
	sealed, err := v.keys.seal(bucketReferences, key, reference{r.ID, r.Embedding, r.Model, r.Enrolled.UTC()})
	if err != nil {
		return err
	}
	err = v.insert(func(tx *bolt.Tx) error {
		return errors.Join(v.await(tx, outcome{RID: rid, Payload: payload}), v.put(tx, bucketReferences, key, sealed))
	})
	if err != nil {
		return fmt.Errorf("put reference: %w", err)
	}
	return nil
}

func (r Reference) validate() error {
	if r.Model == "" {
		return errors.New("a reference needs the digest of its model")
	}
	if len(r.Embedding) == 0 || len(r.Embedding) > maxDimensions {
		return fmt.Errorf("embedding of %d values, 1 to %d are allowed", len(r.Embedding), maxDimensions)
	}
	for _, x := range r.Embedding {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return errors.New("embedding with a value that is not finite")
		}
	}
	return nil
}

// Reference returns the reference of an account, or ErrNotFound.
func (v *Vault) Reference(ctx context.Context, account string) (Reference, error) {
	if err := ended(ctx, "reference"); err != nil {
		return Reference{}, err
	}
	key := v.keys.account(account)
	var sealed []byte
	err := v.view(func(tx *bolt.Tx) error {
		sealed = bytes.Clone(tx.Bucket([]byte(bucketReferences)).Get(key))
		return nil
	})
	if err == nil && sealed == nil {
		err = ErrNotFound
	}
	var r reference
	if err == nil {
		err = v.keys.open(bucketReferences, key, sealed, &r)
	}
	if err != nil {
		return Reference{}, fmt.Errorf("reference: %w", err)
	}
	return Reference{ID: r.ID, Embedding: r.Embedding, Model: r.Model, Enrolled: r.Enrolled}, nil
}

// DeleteReference removes the reference of an account; ErrNotFound where there
// is none. It works in a full vault.
func (v *Vault) DeleteReference(ctx context.Context, account string) error {
	if err := ended(ctx, "delete reference"); err != nil {
		return err
	}
	key := v.keys.account(account)
	err := v.update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketReferences))
		if b.Get(key) == nil {
			return ErrNotFound
		}
		return b.Delete(key)
	})
	if err != nil {
		return fmt.Errorf("delete reference: %w", err)
	}
	return nil
}
