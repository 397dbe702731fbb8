package record_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
)

const rid = "01890a5d-ac96-774b-bcce-b302099a8057"

func key() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes fixed"))
}

func keyID(tb testing.TB) string {
	tb.Helper()
	id, err := record.KeyID(key().Public())
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// known is a key store that holds one key.
func known(kid string) (crypto.PublicKey, error) {
	if id, err := record.KeyID(key().Public()); err != nil || id != kid {
		return nil, record.ErrUnknownKey
	}
	return key().Public(), nil
}

func envelope() record.Envelope {
	return record.Envelope{
		Schema: 1, Tenant: "bank", Device: "kiosk-7", Epoch: 3, Seq: 42, RID: rid,
		Prev: record.FormatDigest(sha256.Sum256([]byte("previous"))),
		Kind: record.Verification, Body: json.RawMessage(`{"a":"<é>"}`),
	}
}

func sign(tb testing.TB, e record.Envelope) []byte {
	tb.Helper()
	raw, err := record.Sign(e, key())
	if err != nil {
		tb.Fatalf("Sign: %v", err)
	}
	return raw
}

func TestSignedRecordVerifiesToTheSameEnvelope(t *testing.T) {
	want := envelope()
	raw := sign(t, want)
	got, err := record.Verify(raw, known)
	if err != nil {
		t.Fatal(err)
	}
	if !equal(got, want) {
		t.Errorf("Verify = %+v, want %+v", got, want)
	}
	if again := sign(t, want); !bytes.Equal(raw, again) {
		t.Error("signing the same envelope twice gave two byte strings")
	}
	if peeked, err := record.Peek(raw); err != nil || !equal(peeked, want) {
		t.Errorf("Peek = %+v, %v, want %+v", peeked, err, want)
	}
}

func equal(a, b record.Envelope) bool {
	body := bytes.Equal(a.Body, b.Body)
	a.Body, b.Body = nil, nil
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return body && errA == nil && errB == nil && bytes.Equal(x, y)
}

// TestGoldenRecordsDecodeForEver reads records of every released format. A
// golden file is added with a new format and never changed.
func TestGoldenRecordsDecodeForEver(t *testing.T) {
	raw, err := os.ReadFile("testdata/record-v1.jws")
	if err != nil {
		t.Fatal(err)
	}
	e, err := record.Verify(raw, known)
	if err != nil {
		t.Fatalf("Verify(record-v1.jws) = %v", err)
	}
	b, err := record.DecodeBody(e.Body)
	if err != nil {
		t.Fatalf("DecodeBody(record-v1.jws) = %v", err)
	}
	want := goldenBody()
	wantRaw, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if gotRaw, err := b.Encode(); err != nil || !bytes.Equal(gotRaw, wantRaw) {
		t.Errorf("body = %s, %v, want %s", gotRaw, err, wantRaw)
	}
	// What is written today is still what was written then.
	g := envelope()
	g.Body = wantRaw
	if now := sign(t, g); !bytes.Equal(now, raw) {
		t.Errorf("Sign = %s\nwant %s", now, raw)
	}
}

func goldenBody() record.Body {
	band := uint8(6)
	digest := record.SHA256(strings.Repeat("ab", 32))
	return record.Body{
		WallMs: 1780000000000, MonoNs: 123456789, BootID: "6e1b0c5e-7d1a-4b7e-9f3a-0d6b5f1c2a3b",
		ClockQ: "synced", ClockErrMs: 12,
		Verification: "01890a5d-ac96-774b-bcce-b302099a8001", SubjectRef: "hmac-0123456789abcdef",
		Status: "approved", Previous: "submitted", Verdict: "true", Final: true,
		Decision: "match", Confidence: 97, Reasons: []string{"all_checks_passed"},
		Checks: []record.CheckResult{
			{Name: "face_match", Result: "true", Band: &band},
			{Name: "liveness", Result: "true", Reasons: []string{"challenge_followed"}, Strength: "challenge", Attestation: "attested"},
		},
		Strength: "challenge", Document: &record.Document{Type: "passport", Issuer: "UTO"},
		Models: []record.SHA256{digest}, Policy: digest, OperatingPoints: []string{"face-r50@fmr1e-3"},
		Blobs:  []record.Blob{{Digest: digest, Class: "evidence", Size: 1234}},
		Camera: "cam-046d-0825", Agent: "1.0.0", AgentDigest: digest, Assurance: "low",
		Retention: &record.Retention{Class: "standard", NotAfterMs: 1880000000000},
	}
}

func TestSignRefusesAnEnvelopeThatBreaksARule(t *testing.T) {
	for name, breakIt := range map[string]func(*record.Envelope){
		"schema 2":              func(e *record.Envelope) { e.Schema = 2 },
		"no tenant":             func(e *record.Envelope) { e.Tenant = "" },
		"tenant with a slash":   func(e *record.Envelope) { e.Tenant = "a/b" },
		"long device":           func(e *record.Envelope) { e.Device = strings.Repeat("x", 65) },
		"epoch 0":               func(e *record.Envelope) { e.Epoch = 0 },
		"seq 0":                 func(e *record.Envelope) { e.Seq = 0 },
		"first with a prev":     func(e *record.Envelope) { e.Seq = 1 },
		"rid in capitals":       func(e *record.Envelope) { e.RID = strings.ToUpper(rid) },
		"rid of version 4":      func(e *record.Envelope) { e.RID = "9b2a4f0e-3c1d-4e5f-8a7b-6c5d4e3f2a1b" },
		"rid as urn":            func(e *record.Envelope) { e.RID = "urn:uuid:" + rid },
		"prev in hex":           func(e *record.Envelope) { e.Prev = strings.Repeat("ab", 32) },
		"prev with bits behind": func(e *record.Envelope) { e.Prev = strings.Repeat("A", 42) + "B" },
		"unknown kind":          func(e *record.Envelope) { e.Kind = "rumour" },
		"no body":               func(e *record.Envelope) { e.Body = nil },
		"body is null":          func(e *record.Envelope) { e.Body = json.RawMessage(`null`) },
		"body is broken":        func(e *record.Envelope) { e.Body = json.RawMessage(`{"a":`) },
		"too large":             func(e *record.Envelope) { e.Body = json.RawMessage(`{"a":"` + strings.Repeat("x", 50000) + `"}`) },
	} {
		e := envelope()
		breakIt(&e)
		if _, err := record.Sign(e, key()); !errors.Is(err, record.ErrInvalid) {
			t.Errorf("%s: Sign = %v, want ErrInvalid", name, err)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.Sign(envelope(), ec); err == nil {
		t.Error("Sign with a P-256 key = nil, want an error")
	}
}

// compact assembles a JWS from its parts; header and payload in clear.
func compact(header, payload string, sign func(input []byte) []byte) []byte {
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	return []byte(input + "." + b64.EncodeToString(sign([]byte(input))))
}

func ed(input []byte) []byte { return ed25519.Sign(key(), input) }

func TestVerifyRefusesForgeriesAndOtherSpellings(t *testing.T) {
	kid := keyID(t)
	honest := sign(t, envelope())
	parts := strings.Split(string(honest), ".")
	payloadRaw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	payload := string(payloadRaw)
	head := func(fields string) string { return `{"alg":"EdDSA","kid":"` + kid + `"` + fields + `}` }
	typ := `,"typ":"idv-result+v1"`
	hs := func(input []byte) []byte {
		m := hmac.New(sha256.New, key().Public().(ed25519.PublicKey))
		m.Write(input)
		return m.Sum(nil)
	}
	last := parts[2][len(parts[2])-1:]
	sibling := map[string]string{"A": "B", "Q": "R", "g": "h", "w": "x"}[last]
	if sibling == "" {
		t.Fatalf("signature ends in %q, which carries no spare bits", last)
	}
	if got, err := record.Verify(compact(head(typ), payload, ed), known); err != nil || !equal(got, envelope()) {
		t.Fatalf("the assembled honest record: %v", err)
	}
	for name, raw := range map[string][]byte{
		"empty":               nil,
		"two parts":           []byte(parts[0] + "." + parts[1]),
		"four parts":          []byte(string(honest) + ".x"),
		"alg none":            compact(`{"alg":"none","kid":"`+kid+`"`+typ+`}`, payload, func([]byte) []byte { return nil }),
		"HS256 with pubkey":   compact(`{"alg":"HS256","kid":"`+kid+`"`+typ+`}`, payload, hs),
		"ES256":               compact(`{"alg":"ES256","kid":"`+kid+`"`+typ+`}`, payload, ed),
		"jku":                 compact(`{"alg":"EdDSA","jku":"https://evil.example/k","kid":"`+kid+`"`+typ+`}`, payload, ed),
		"x5u":                 compact(head(typ+`,"x5u":"https://evil.example"`), payload, ed),
		"jwk":                 compact(head(`,"jwk":{"kty":"OKP"}`+typ), payload, ed),
		"crit":                compact(`{"alg":"EdDSA","crit":["b64"],"b64":true,"kid":"`+kid+`"`+typ+`}`, payload, ed),
		"no typ":              compact(head(``), payload, ed),
		"other typ":           compact(head(`,"typ":"idv-result+v2"`), payload, ed),
		"doubled alg":         compact(`{"alg":"none","alg":"EdDSA","kid":"`+kid+`"`+typ+`}`, payload, ed),
		"space in header":     compact(head(` `+typ), payload, ed),
		"kid no thumbprint":   compact(`{"alg":"EdDSA","kid":"k"`+typ+`}`, payload, ed),
		"deep JSON header":    compact(strings.Repeat(`{"a":`, 5000), payload, ed),
		"deep JSON payload":   compact(head(typ), strings.Repeat("[", 30000), ed),
		"unknown field":       compact(head(typ), strings.Replace(payload, `{`, `{"x":1,`, 1), ed),
		"capital field":       compact(head(typ), strings.Replace(payload, `"tenant"`, `"Tenant"`, 1), ed),
		"doubled field":       compact(head(typ), strings.Replace(payload, `"seq":42`, `"seq":1,"seq":42`, 1), ed),
		"white space":         compact(head(typ), " "+payload, ed),
		"trailing object":     compact(head(typ), payload+`{}`, ed),
		"epoch overflow":      compact(head(typ), strings.Replace(payload, `"epoch":3`, `"epoch":4294967299`, 1), ed),
		"negative seq":        compact(head(typ), strings.Replace(payload, `"seq":42`, `"seq":-1`, 1), ed),
		"schema 2":            compact(head(typ), strings.Replace(payload, `"schema":1`, `"schema":2`, 1), ed),
		"no kind":             compact(head(typ), strings.Replace(payload, `"kind":"verification"`, `"kind":""`, 1), ed),
		"body an array":       compact(head(typ), strings.Replace(payload, `{"a":"<é>"}`, `[]`, 1), ed),
		"64 KiB and one":      bytes.Repeat([]byte("a"), record.MaxSize+1),
		"line break":          []byte(parts[0] + "." + parts[1][:4] + "\n" + parts[1][4:] + "." + parts[2]),
		"spare bits of a sig": []byte(string(honest[:len(honest)-1]) + sibling),
		"padding":             []byte(string(honest) + "=="),
	} {
		if e, err := record.Verify(raw, known); !errors.Is(err, record.ErrInvalid) {
			t.Errorf("%s: Verify = %+v, %v, want ErrInvalid", name, e, err)
		}
	}
}

func TestVerifyTellsBadSignatureFromUnknownKey(t *testing.T) {
	raw := sign(t, envelope())
	for i := range raw {
		altered := bytes.Clone(raw)
		altered[i] ^= 1
		if _, err := record.Verify(altered, known); err == nil {
			t.Fatalf("Verify with byte %d altered = nil", i)
		}
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	foreign, err := record.Sign(envelope(), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.Verify(foreign, known); !errors.Is(err, record.ErrUnknownKey) {
		t.Errorf("Verify of a foreign record = %v, want ErrUnknownKey", err)
	}
	// A key store that answers with the wrong key does not make it valid.
	wrong := func(string) (crypto.PublicKey, error) { return key().Public(), nil }
	if _, err := record.Verify(foreign, wrong); !errors.Is(err, record.ErrUnknownKey) {
		t.Errorf("Verify with a key of another kid = %v, want ErrUnknownKey", err)
	}
	forged := compact(`{"alg":"EdDSA","kid":"`+keyID(t)+`","typ":"idv-result+v1"}`, `{}`,
		func(in []byte) []byte { return ed25519.Sign(other, in) })
	if _, err := record.Verify(forged, known); !errors.Is(err, record.ErrSignature) {
		t.Errorf("Verify of a forged record = %v, want ErrSignature", err)
	}
	broken := errors.New("key store is out of order")
	_, err = record.Verify(raw, func(string) (crypto.PublicKey, error) { return nil, broken })
	if !errors.Is(err, broken) || errors.Is(err, record.ErrInvalid) {
		t.Errorf("Verify with a broken key store = %v, want its own error", err)
	}
}

func TestHostileRecordsAreRefusedQuickly(t *testing.T) {
	deep := compact(`{"alg":"EdDSA","kid":"`+keyID(t)+`","typ":"idv-result+v1"}`, strings.Repeat(`{"a":`, 9000), ed)
	began := time.Now()
	if _, err := record.Verify(deep, known); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("Verify = %v, want ErrInvalid", err)
	}
	took := time.Since(began)
	t.Logf("refused in %v", took)
	if took > 100*time.Millisecond {
		t.Errorf("refused in %v, want 10 ms, and at most ten times that here", took)
	}
}

func TestKindsAreFixedForEver(t *testing.T) {
	want := "verification enrolment review overrule deletion attack health purge gap update audit"
	var got []string
	for _, k := range record.Kinds() {
		got = append(got, string(k))
	}
	if s := strings.Join(got, " "); s != want {
		t.Errorf("Kinds() = %s, want %s, in this order", s, want)
	}
}

func TestZeroAcknowledgementSettlesNothing(t *testing.T) {
	for _, tc := range []struct {
		ack                record.Acknowledgement
		settles, retryable bool
	}{
		{record.Acknowledgement{}, false, false},
		{record.Acknowledgement{Status: "STORED"}, false, false},
		{record.Acknowledgement{Status: record.Stored, Code: record.CodeUnavailable}, true, false},
		{record.Acknowledgement{Status: record.Duplicate}, true, false},
		{record.Acknowledgement{Status: record.Rejected}, false, false},
		{record.Acknowledgement{Status: record.Rejected, Code: record.CodeUnavailable}, false, true},
		{record.Acknowledgement{Status: record.Rejected, Code: "from_the_future"}, false, false},
	} {
		if s, r := tc.ack.Settles(), tc.ack.Retryable(); s != tc.settles || r != tc.retryable {
			t.Errorf("%+v: Settles, Retryable = %v, %v, want %v, %v", tc.ack, s, r, tc.settles, tc.retryable)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(sign(f, envelope()))
	f.Add([]byte("..."))
	f.Add(compact(`{"alg":"none"}`, `{}`, ed))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := record.Verify(raw, known)
		if err != nil {
			return
		}
		// Only one byte string is the record: the one that Sign makes.
		if again := sign(t, e); !bytes.Equal(again, raw) {
			t.Errorf("Verify accepted %q, Sign gives %q", raw, again)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	e := envelope()
	for b.Loop() {
		sign(b, e)
	}
}

func BenchmarkVerify(b *testing.B) {
	raw := sign(b, envelope())
	for b.Loop() {
		if _, err := record.Verify(raw, known); err != nil {
			b.Fatal(err)
		}
	}
}
