package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// collectorKey is a key for tests, derived from one byte.
func collectorKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func collectorKeys(t testing.TB, keys ...ed25519.PrivateKey) CollectorKeys {
	t.Helper()
	var publics []ed25519.PublicKey
	for _, k := range keys {
		publics = append(publics, k.Public().(ed25519.PublicKey))
	}
	set, err := NewCollectorKeys(publics...)
	if err != nil {
		t.Fatalf("NewCollectorKeys: %v", err)
	}
	return set
}

func goldenReceipt() Receipt {
	return Receipt{
		Tenant: "bank",
		Device: "kiosk-7",
		Items: []ReceiptItem{
			{Epoch: 1, Seq: 41, SHA256: Digest([]byte("a")), Status: Stored},
			{Epoch: 1, Seq: 42, SHA256: Digest([]byte("b")), Status: Duplicate},
			{Epoch: 1, Seq: math.MaxUint64, SHA256: Digest([]byte("c")), Status: Rejected, Code: CodeEquivocation},
		},
		CommitID: "1234",
		Time:     time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC),
	}
}

func TestAReceiptIsTheGoldenOne(t *testing.T) {
	got, err := SignReceipt(goldenReceipt(), collectorKey(1))
	if err != nil {
		t.Fatalf("SignReceipt: %v", err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "receipt_v1.jws"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.TrimSpace(want)) {
		t.Errorf("SignReceipt(golden) = %s, want %s", got, want)
	}
}

func TestAnOldGoldenReceiptStillAcknowledges(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "receipt_v1.jws"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := VerifyReceipt(bytes.TrimSpace(raw), collectorKeys(t, collectorKey(2), collectorKey(1)), "bank", "kiosk-7")
	if err != nil {
		t.Fatalf("VerifyReceipt(golden): %v", err)
	}
	acks := r.Acknowledgements()
	want := []Acknowledgement{
		{Epoch: 1, Seq: 41, Digest: Digest([]byte("a")), Status: Stored},
		{Epoch: 1, Seq: 42, Digest: Digest([]byte("b")), Status: Duplicate},
		{Epoch: 1, Seq: math.MaxUint64, Digest: Digest([]byte("c")), Status: Rejected, Code: CodeEquivocation},
	}
	if len(acks) != len(want) {
		t.Fatalf("Acknowledgements = %d, want %d", len(acks), len(want))
	}
	for i := range want {
		if acks[i] != want[i] {
			t.Errorf("Acknowledgements[%d] = %+v, want %+v", i, acks[i], want[i])
		}
	}
	if r.CommitID != "1234" || !r.Time.Equal(goldenReceipt().Time) {
		t.Errorf("VerifyReceipt(golden) = commit %q at %v, want 1234 at %v", r.CommitID, r.Time, goldenReceipt().Time)
	}
}

func TestAReceiptForAnotherTenantOrDeviceIsForeign(t *testing.T) {
	raw, err := SignReceipt(goldenReceipt(), collectorKey(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range [][2]string{{"bank", "kiosk-8"}, {"shop", "kiosk-7"}, {"", ""}} {
		_, err := VerifyReceipt(raw, collectorKeys(t, collectorKey(1)), who[0], who[1])
		if !errors.Is(err, ErrReceiptForeign) || !errors.Is(err, ErrReceipt) {
			t.Errorf("VerifyReceipt for %s/%s = %v, want ErrReceiptForeign", who[0], who[1], err)
		}
	}
}

// forge returns a JWS with any header over a payload, signed by sign.
func forge(header string, payload []byte, sign func([]byte) []byte) []byte {
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(payload)
	return []byte(input + "." + b64.EncodeToString(sign([]byte(input))))
}

func TestAForgedReceiptAcknowledgesNothing(t *testing.T) {
	key, other := collectorKey(1), collectorKey(9)
	kid, err := KeyID(key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(goldenReceipt())
	if err != nil {
		t.Fatal(err)
	}
	good, err := SignReceipt(goldenReceipt(), key)
	if err != nil {
		t.Fatal(err)
	}
	asTime, err := SignTime(time.Now(), "nonce", key)
	if err != nil {
		t.Fatal(err)
	}
	byOther, err := SignReceipt(goldenReceipt(), other)
	if err != nil {
		t.Fatal(err)
	}
	withKey := func(k ed25519.PrivateKey) func([]byte) []byte {
		return func(in []byte) []byte { return ed25519.Sign(k, in) }
	}
	hs256 := func(in []byte) []byte {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(key.Public().(ed25519.PublicKey))}, nil)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign(in)
		if err != nil {
			t.Fatal(err)
		}
		return jws.Signatures[0].Signature
	}
	for name, raw := range map[string][]byte{
		"empty":                 {},
		"not a JWS":             []byte("thanks, all stored"),
		"alg none":              forge(`{"alg":"none","kid":"`+kid+`","typ":"idv-receipt+v1"}`, payload, func([]byte) []byte { return nil }),
		"alg HS256, public key": forge(`{"alg":"HS256","kid":"`+kid+`","typ":"idv-receipt+v1"}`, payload, hs256),
		"an embedded key":       forge(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"},"kid":"`+kid+`","typ":"idv-receipt+v1"}`, payload, withKey(key)),
		"a key address":         forge(`{"alg":"EdDSA","jku":"https://evil.example","kid":"`+kid+`","typ":"idv-receipt+v1"}`, payload, withKey(key)),
		"a critical extension":  forge(`{"alg":"EdDSA","crit":["b64"],"kid":"`+kid+`","typ":"idv-receipt+v1"}`, payload, withKey(key)),
		"signed by a stranger":  forge(`{"alg":"EdDSA","kid":"`+kid+`","typ":"idv-receipt+v1"}`, payload, withKey(other)),
		"a stranger's own kid":  byOther,
		"a record's type":       forge(`{"alg":"EdDSA","kid":"`+kid+`","typ":"idv-result+v1"}`, payload, withKey(key)),
		"a time statement":      asTime,
		"an unknown status":     forge(`{"alg":"EdDSA","kid":"`+kid+`","typ":"idv-receipt+v1"}`, bytes.Replace(payload, []byte("stored"), []byte("perhaps"), 1), withKey(key)),
		"no items":              forge(`{"alg":"EdDSA","kid":"`+kid+`","typ":"idv-receipt+v1"}`, []byte(`{"tenant":"bank","device":"kiosk-7"}`), withKey(key)),
		"a short digest":        forge(`{"alg":"EdDSA","kid":"`+kid+`","typ":"idv-receipt+v1"}`, []byte(`{"tenant":"bank","device":"kiosk-7","items":[{"sha256":"00"}]}`), withKey(key)),
		"a changed byte":        bytes.Replace(good, good[len(good)/2:len(good)/2+1], []byte("!"), 1),
		"cut short":             good[:len(good)-1],
		"followed by a byte":    append(bytes.Clone(good), 'A'),
	} {
		if r, err := VerifyReceipt(raw, collectorKeys(t, key), "bank", "kiosk-7"); !errors.Is(err, ErrReceipt) || len(r.Items) != 0 {
			t.Errorf("%s: VerifyReceipt = %d items, %v, want none and ErrReceipt", name, len(r.Items), err)
		}
	}
	if _, err := VerifyReceipt(good, CollectorKeys{}, "bank", "kiosk-7"); !errors.Is(err, ErrReceipt) {
		t.Errorf("VerifyReceipt with the zero key set = %v, want ErrReceipt", err)
	}
}

func TestTheLargestReceiptFitsItsLimit(t *testing.T) {
	r := Receipt{
		Tenant: strings.Repeat("t", maxName), Device: strings.Repeat("d", maxName), CommitID: strings.Repeat("c", maxName),
		Time: time.Date(2026, 11, 22, 2, 0, 0, 123456789, time.UTC),
	}
	for range MaxBatchRecords {
		r.Items = append(r.Items, ReceiptItem{
			Epoch: math.MaxUint32, Seq: math.MaxUint64, Status: Rejected, Code: strings.Repeat("c", maxRejectionCode),
		})
	}
	raw, err := SignReceipt(r, collectorKey(1))
	if err != nil {
		t.Fatalf("SignReceipt: %v", err)
	}
	if len(raw) > MaxReceiptBytes {
		t.Errorf("SignReceipt of the largest receipt = %d bytes, want at most %d", len(raw), MaxReceiptBytes)
	}
	if _, err := VerifyReceipt(raw, collectorKeys(t, collectorKey(1)), r.Tenant, r.Device); err != nil {
		t.Errorf("VerifyReceipt of the largest receipt: %v", err)
	}
}

func TestAReceiptThatBreaksARuleIsNotSigned(t *testing.T) {
	for name, change := range map[string]func(*Receipt){
		"no tenant":             func(r *Receipt) { r.Tenant = "" },
		"no items":              func(r *Receipt) { r.Items = nil },
		"the zero status":       func(r *Receipt) { r.Items[0].Status = "" },
		"stored with a code":    func(r *Receipt) { r.Items[0].Code = "x" },
		"rejected without code": func(r *Receipt) { r.Items[2].Code = "" },
		"a sentence for a code": func(r *Receipt) { r.Items[2].Code = "because of this" },
	} {
		r := goldenReceipt()
		change(&r)
		if _, err := SignReceipt(r, collectorKey(1)); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: SignReceipt = %v, want ErrReceipt", name, err)
		}
	}
}

func TestOneOrTwoCollectorKeysAreValidAtOnce(t *testing.T) {
	public := func(b byte) ed25519.PublicKey { return collectorKey(b).Public().(ed25519.PublicKey) }
	for name, keys := range map[string][]ed25519.PublicKey{
		"none":      nil,
		"three":     {public(1), public(2), public(3)},
		"a cut key": {public(1)[:31]},
	} {
		if _, err := NewCollectorKeys(keys...); err == nil {
			t.Errorf("NewCollectorKeys(%s) = nil error, want one", name)
		}
	}
}

func TestASignedTimeAnswersOneNonce(t *testing.T) {
	keys := collectorKeys(t, collectorKey(1))
	want := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	raw, err := SignTime(want, "n-1", collectorKey(1))
	if err != nil {
		t.Fatalf("SignTime: %v", err)
	}
	if got, err := VerifyTime(raw, keys, "n-1"); err != nil || !got.Equal(want) {
		t.Errorf("VerifyTime = %v, %v, want %v", got, err, want)
	}
	for _, nonce := range []string{"n-2", ""} {
		if _, err := VerifyTime(raw, keys, nonce); !errors.Is(err, ErrReceipt) {
			t.Errorf("VerifyTime with nonce %q = %v, want ErrReceipt", nonce, err)
		}
	}
	receipt, err := SignReceipt(goldenReceipt(), collectorKey(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyTime(receipt, keys, ""); !errors.Is(err, ErrReceipt) {
		t.Errorf("VerifyTime of a receipt = %v, want ErrReceipt", err)
	}
	if _, err := SignTime(want, "not a nonce", collectorKey(1)); err == nil {
		t.Error("SignTime with a nonce of two words = nil error, want one")
	}
}

func FuzzVerifyReceipt(f *testing.F) {
	key := collectorKey(1)
	keys := collectorKeys(f, key)
	good, err := SignReceipt(goldenReceipt(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("e30.e30."))
	f.Add([]byte("eyJhbGciOiJub25lIn0.e30."))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := VerifyReceipt(raw, keys, "bank", "kiosk-7")
		if err != nil {
			if !errors.Is(err, ErrReceipt) {
				t.Fatalf("VerifyReceipt = %v, want ErrReceipt", err)
			}
			return
		}
		again, err := SignReceipt(r, key)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("VerifyReceipt accepted bytes that SignReceipt does not write: %q", raw)
		}
	})
}
