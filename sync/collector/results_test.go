package collector_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/record"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

func TestARecordIsStoredOnceAndThenADuplicate(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	raw := d.next(t)
	first := receipt(t, c, d, d.request(t, s.URL, raw))
	wantItem(t, first, 0, record.Stored, "")
	again := receipt(t, c, d, d.request(t, s.URL, raw, d.next(t)))
	wantItem(t, again, 0, record.Duplicate, "")
	wantItem(t, again, 1, record.Stored, "")
	got := rows(t, c)
	if len(got) != 2 || !bytes.Equal(got[0].Raw, raw) || got[0].Arrival != 1 || got[0].Envelope.Seq != 1 {
		t.Errorf("Records = %d rows, first %+v, want 2, the first as it was signed", len(got), got)
	}
}

func TestTheSameRecordTenTimesAtOnceMakesOneRow(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	raw := d.next(t)
	others := make([][]byte, 10)
	for i := range others {
		others[i] = d.next(t) // so that the ten deliveries have ten keys
	}
	statuses := make([]record.AckStatus, len(others))
	var wg sync.WaitGroup
	for i, other := range others {
		wg.Go(func() {
			status, body := do(t, d.request(t, s.URL, raw, other))
			if status != http.StatusOK {
				t.Errorf("delivery %d = %d %s, want 200", i, status, body)
				return
			}
			statuses[i] = verify(t, c, d, body).Items[0].Status
		})
	}
	wg.Wait()
	stored := 0
	for _, status := range statuses {
		if status == record.Stored {
			stored++
		} else if status != record.Duplicate {
			t.Errorf("status %q, want stored or duplicate", status)
		}
	}
	if got := rows(t, c); stored != 1 || len(got) != 1+len(others) {
		t.Errorf("%d answers stored and %d rows, want 1 and %d", stored, len(got), 1+len(others))
	}
}

func TestAnotherRecordAtATakenPositionIsAnEquivocation(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	first := d.next(t)
	clone := d.sign(t, 1, "", newRID(t), `{"status":"rejected"}`)
	receipt(t, c, d, d.request(t, s.URL, first))
	r := receipt(t, c, d, d.request(t, s.URL, clone, d.next(t)))
	wantItem(t, r, 0, record.Rejected, record.CodeEquivocation)
	wantItem(t, r, 1, record.Stored, "")
	if got := rows(t, c); len(got) != 2 || !bytes.Equal(got[0].Raw, first) {
		t.Errorf("Records = %d rows, want 2, the first one kept", len(got))
	}
}

func TestARepeatedRIDFillsItsPositionWithoutASecondRow(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	rid := newRID(t)
	first := d.sign(t, 1, "", rid, `{}`)
	second := d.sign(t, 2, record.FormatDigest(record.Digest(first)), rid, `{}`)
	receipt(t, c, d, d.request(t, s.URL, first))
	wantItem(t, receipt(t, c, d, d.request(t, s.URL, second)), 0, record.Duplicate, "")
	wantItem(t, receipt(t, c, d, d.request(t, s.URL, second)), 0, record.Duplicate, "")
	if got := rows(t, c); len(got) != 1 {
		t.Errorf("Records = %d rows, want 1", len(got))
	}
	g, err := c.Gaps(t.Context(), d.tenant, d.name, 1)
	if err != nil || len(g.Missing) != 0 || g.Last != 2 {
		t.Errorf("Gaps = %+v, %v, want none up to 2", g, err)
	}
}

func TestAnotherOutcomeUnderATakenRIDIsRejected(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	rid := newRID(t)
	first := d.sign(t, 1, "", rid, `{"status":"rejected"}`)
	prev := record.FormatDigest(record.Digest(first))
	otherBody := d.sign(t, 2, prev, rid, `{"status":"approved"}`)
	otherKind, err := record.Sign(record.Envelope{
		Tenant: d.tenant, Device: d.name, Epoch: d.epoch, Seq: 2, RID: rid, Prev: prev,
		Kind: record.Verification, Body: json.RawMessage(`{"status":"rejected"}`),
	}, d.key)
	if err != nil {
		t.Fatal(err)
	}
	receipt(t, c, d, d.request(t, s.URL, first))
	for _, raw := range [][]byte{otherBody, otherKind, otherBody} {
		wantItem(t, receipt(t, c, d, d.request(t, s.URL, raw)), 0, record.Rejected, "rid_reused")
	}
	if got := rows(t, c); len(got) != 1 || !bytes.Equal(got[0].Raw, first) {
		t.Errorf("Records = %d rows, want the first alone", len(got))
	}
	// The position is free for what the device should have sent.
	again := d.sign(t, 2, prev, rid, `{"status":"rejected"}`)
	wantItem(t, receipt(t, c, d, d.request(t, s.URL, again)), 0, record.Duplicate, "")
}

func TestABadRecordIsRejectedAloneAndTheOthersAreStored(t *testing.T) {
	d, stranger := newDevice("kiosk-1"), newDevice("kiosk-2")
	c, s := serve(t, collector.Options{}, d)
	good := d.next(t)
	forged := d.sign(t, 7, record.FormatDigest(record.Digest(good)), newRID(t), `{}`)
	forged = append(forged[:bytes.LastIndexByte(forged, '.')], good[bytes.LastIndexByte(good, '.'):]...)
	impostor := &device{tenant: d.tenant, name: "kiosk-9", key: d.key, epoch: 1}
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"epoch":1,"seq":99,"schema":1}`))
	kid, err := record.KeyID(d.public())
	if err != nil {
		t.Fatal(err)
	}
	header := func(h string) []byte {
		h = strings.ReplaceAll(h, "KID", kid)
		input := base64.RawURLEncoding.EncodeToString([]byte(h)) + "." + payload
		return []byte(input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(d.key, []byte(input))))
	}
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(d.public())},
		(&jose.SignerOptions{}).WithType("idv-result+v1").WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := hmac.Sign([]byte(`{"epoch":1,"seq":98,"schema":1}`))
	if err != nil {
		t.Fatal(err)
	}
	hs256, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	records := [][]byte{
		good,
		forged,
		stranger.next(t),
		impostor.next(t),
		header(`{"alg":"none","kid":"KID","typ":"idv-result+v1"}`),
		[]byte(hs256),
		header(`{"alg":"EdDSA","jku":"https://evil.example","kid":"KID","typ":"idv-result+v1"}`),
		header(`{"alg":"EdDSA","kid":"KID","typ":"idv-result+v1"}`), // signed, but no envelope
	}
	r := receipt(t, c, d, d.request(t, s.URL, records...))
	wantItem(t, r, 0, record.Stored, "")
	wantItem(t, r, 1, record.Rejected, record.CodeSignature)
	wantItem(t, r, 2, record.Rejected, record.CodeUnknownKey)
	wantItem(t, r, 3, record.Rejected, record.CodeWrongDevice)
	for i := 4; i < len(records); i++ {
		wantItem(t, r, i, record.Rejected, record.CodeMalformed)
		if r.Items[i].SHA256 != record.Digest(records[i]) {
			t.Errorf("receipt item %d has another digest than the record sent", i)
		}
	}
	if got := rows(t, c); len(got) != 1 {
		t.Errorf("Records = %d rows, want 1", len(got))
	}
}

func TestADeliveryThatIsNoBatchIsRefusedByName(t *testing.T) {
	d, unknown := newDevice("kiosk-1"), newDevice("kiosk-2")
	c, s := serve(t, collector.Options{}, d)
	raw := d.next(t)
	with := func(change func(*http.Request)) *http.Request {
		req := d.request(t, s.URL, raw)
		change(req)
		return req
	}
	garbage, err := record.EncodeBatch([][]byte{raw, []byte("no record at all")})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		req    *http.Request
		status int
		code   string
	}{
		"garbage":            {d.post(t, s.URL, []byte("garbage")), 400, "frame"},
		"a nine-byte bomb":   {d.post(t, s.URL, []byte{0x28, 0xB5, 0x2F, 0xFD, 0, 19 << 3, 1, 0, 0}), 413, "frame"},
		"above 1 MiB":        {d.post(t, s.URL, make([]byte, 1<<20+1)), 413, "too_large"},
		"no position":        {d.post(t, s.URL, garbage), 400, "record"},
		"not zstd":           {with(func(r *http.Request) { r.Header.Del("Content-Encoding") }), 415, "encoding"},
		"no sender":          {with(func(r *http.Request) { r.Header.Del("Edgeverify-Device") }), 401, "identity"},
		"a sender with NUL":  {with(func(r *http.Request) { r.Header.Set("Edgeverify-Device", "bank/kiosk/1") }), 401, "identity"},
		"an unknown device":  {unknown.request(t, s.URL, unknown.next(t)), 403, "identity"},
		"no key":             {with(func(r *http.Request) { r.Header.Del("Idempotency-Key") }), 400, "idempotency_key"},
		"another's key":      {with(func(r *http.Request) { r.Header.Set("Idempotency-Key", "kiosk-2:1:1-1:00") }), 400, "idempotency_key"},
		"a key with a space": {with(func(r *http.Request) { r.Header.Set("Idempotency-Key", "kiosk-1: 1") }), 400, "idempotency_key"},
	} {
		status, body := do(t, c.req)
		var p struct{ Code string }
		if err := json.Unmarshal(body, &p); err != nil || status != c.status || p.Code != c.code {
			t.Errorf("%s: post = %d %s, want %d %s", name, status, body, c.status, c.code)
		}
	}
	if got := rows(t, c); len(got) != 0 {
		t.Errorf("Records = %d rows, want none", len(got))
	}
}

func TestAnIdempotencyKeyServesOneBody(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	first := d.request(t, s.URL, d.next(t))
	second := d.request(t, s.URL, d.next(t))
	second.Header.Set("Idempotency-Key", first.Header.Get("Idempotency-Key"))
	receipt(t, c, d, first)
	if status, body := do(t, second); status != http.StatusUnprocessableEntity {
		t.Errorf("same key, other body = %d %s, want 422", status, body)
	}
	if got := rows(t, c); len(got) != 1 {
		t.Errorf("Records = %d rows, want 1: a refused batch stores nothing", len(got))
	}
}

func TestADeviceAboveItsRateIsAskedToWait(t *testing.T) {
	d, other := newDevice("kiosk-1"), newDevice("kiosk-2")
	c, s := serve(t, collector.Options{Rate: rate.Limit(0.001), Burst: 1}, d, other)
	receipt(t, c, d, d.request(t, s.URL, d.next(t)))
	resp, err := http.DefaultClient.Do(d.request(t, s.URL, d.next(t)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("second batch = %d, Retry-After %q, want 429 with one", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	receipt(t, c, other, other.request(t, s.URL, other.next(t)))
}

func TestARevokedDeviceIsRefusedAndItsRecordsStay(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{ClaimTokens: []collector.Secret{claimToken}}, d)
	receipt(t, c, d, d.request(t, s.URL, d.next(t)))
	if err := c.RevokeDevice(d.tenant, d.name); err != nil {
		t.Fatalf("RevokeDevice: %v", err)
	}
	if status, body := do(t, d.request(t, s.URL, d.next(t))); status != http.StatusForbidden {
		t.Errorf("post of a revoked device = %d %s, want 403", status, body)
	}
	if status, body := do(t, enrolRequest(t, s.URL, d, claimToken)); status != http.StatusConflict {
		t.Errorf("enrolment of a revoked device = %d %s, want 409", status, body)
	}
	if got := rows(t, c); len(got) != 1 {
		t.Errorf("Records = %d rows, want 1", len(got))
	}
}
