package https_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/https"
	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
	"github.com/edgeverify/edgeverify/sync/uplink"
	"github.com/google/uuid"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenant = "bank"
	device = "kiosk-1"
)

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func keySet(t testing.TB, keys ...ed25519.PublicKey) record.CollectorKeys {
	t.Helper()
	set, err := record.NewCollectorKeys(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// batch returns n signed records of the device.
func batch(t testing.TB, n int) []outbox.Item {
	t.Helper()
	items := make([]outbox.Item, n)
	prev := ""
	for i := range items {
		id, err := uuid.NewV7()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := record.Sign(record.Envelope{
			Tenant: tenant, Device: device, Epoch: 1, Seq: uint64(i + 1), RID: id.String(), Prev: prev,
			Kind: record.Health, Body: json.RawMessage(`{}`),
		}, key(device))
		if err != nil {
			t.Fatalf("record.Sign: %v", err)
		}
		digest := record.Digest(raw)
		prev = record.FormatDigest(digest)
		items[i] = outbox.Item{Position: outbox.Position{Epoch: 1, Seq: uint64(i + 1), Digest: digest}, Raw: raw}
	}
	return items
}

// client returns a client of a TLS server that pins the server's certificate.
func client(t testing.TB, s *httptest.Server, keys record.CollectorKeys) *https.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	c, err := https.New(https.Config{
		URL: s.URL, TLS: &tls.Config{RootCAs: pool}, CollectorKeys: keys, Tenant: tenant, Device: device,
	})
	if err != nil {
		t.Fatalf("https.New: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

func tlsServer(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestABatchReachesARealCollectorOverTLS(t *testing.T) {
	c, err := collector.Open(t.TempDir(), collector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.AddDevice(tenant, device, public(key(device))); err != nil {
		t.Fatal(err)
	}
	var proto string
	s := tlsServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto = r.Proto
		c.Handler().ServeHTTP(w, r)
	}))
	sent := batch(t, record.MaxBatchRecords)
	transport := client(t, s, keySet(t, c.PublicKeys()...))
	for _, want := range []record.AckStatus{record.Stored, record.Duplicate} {
		acks, err := transport.Send(t.Context(), sent)
		if err != nil || len(acks) != len(sent) {
			t.Fatalf("Send = %d acknowledgements, %v, want %d", len(acks), err, len(sent))
		}
		for i, a := range acks {
			if a.Status != want || a.Seq != sent[i].Seq || a.Digest != sent[i].Digest {
				t.Fatalf("acknowledgement %d = %+v, want %s of seq %d", i, a, want, sent[i].Seq)
			}
		}
	}
	if proto != "HTTP/2.0" {
		t.Errorf("protocol %s, want HTTP/2.0", proto)
	}
}

func TestAnAnswerWithoutAValidReceiptAcknowledgesNothing(t *testing.T) {
	ours, forger := key("collector"), key("forger")
	sent := batch(t, 2)
	sign := func(who string, k ed25519.PrivateKey) string {
		r := record.Receipt{Tenant: tenant, Device: who, Time: time.Now()}
		for _, item := range sent {
			r.Items = append(r.Items, record.ReceiptItem{Epoch: item.Epoch, Seq: item.Seq, SHA256: item.Digest, Status: record.Stored})
		}
		raw, err := record.SignReceipt(r, k)
		if err != nil {
			t.Fatal(err)
		}
		return `{"receipt":"` + string(raw) + `"}`
	}
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"nothing":                     {"", uplink.ErrNoReceipt},
		"thanks":                      {"OK", uplink.ErrNoReceipt},
		"no receipt":                  {`{"status":"stored"}`, uplink.ErrNoReceipt},
		"a forged receipt":            {sign(device, forger), uplink.ErrNoReceipt},
		"a receipt of another device": {sign("kiosk-2", ours), record.ErrReceiptForeign},
		"100 KB":                      {strings.Repeat(" ", 100<<10) + sign(device, ours), uplink.ErrNoReceipt},
	} {
		t.Run(name, func(t *testing.T) {
			s := tlsServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.answer) }))
			acks, err := client(t, s, keySet(t, public(ours))).Send(t.Context(), sent)
			if len(acks) != 0 || !errors.Is(err, c.want) || !errors.Is(err, uplink.ErrNoReceipt) {
				t.Errorf("Send = %d acknowledgements, %v, want none and %v", len(acks), err, c.want)
			}
		})
	}
}

func TestEveryRefusalHasItsKind(t *testing.T) {
	for _, c := range []struct {
		status, tries int
		retryAfter    string
		kind          error
		hint          time.Duration
	}{
		{status: 400, tries: 1, kind: uplink.ErrRefused},
		{status: 413, tries: 1, kind: uplink.ErrRefused},
		{status: 422, tries: 1, kind: uplink.ErrRefused},
		{status: 409, tries: 1, kind: uplink.ErrRefused},
		{status: 409, tries: 3, retryAfter: "0", kind: uplink.ErrUnreachable},
		{status: 401, tries: 1, kind: uplink.ErrIdentity},
		{status: 403, tries: 1, kind: uplink.ErrIdentity},
		{status: 408, tries: 3, kind: uplink.ErrUnreachable},
		{status: 425, tries: 3, kind: uplink.ErrUnreachable},
		{status: 500, tries: 3, kind: uplink.ErrUnreachable},
		{status: 501, tries: 1, kind: uplink.ErrUnreachable},
		{status: 404, tries: 1, kind: uplink.ErrUnreachable},
		{status: 301, tries: 1, kind: uplink.ErrUnreachable},
		{status: 429, tries: 1, retryAfter: "60", kind: uplink.ErrUnreachable, hint: time.Minute},
		{status: 503, tries: 1, retryAfter: "99999999999", kind: uplink.ErrUnreachable, hint: uplink.MaxDelay},
		{status: 503, tries: 3, retryAfter: "-5", kind: uplink.ErrUnreachable},
		{status: 503, tries: 3, retryAfter: "Fri, 01 Jan 2038 00:00:00 GMT", kind: uplink.ErrUnreachable},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.retryAfter), func(t *testing.T) {
			t.Parallel()
			tries := 0
			elsewhere := tlsServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
			keys := map[string]bool{}
			s := tlsServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tries++
				keys[r.Header.Get("Idempotency-Key")] = true
				w.Header().Set("Location", elsewhere.URL)
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.WriteHeader(c.status)
			}))
			_, err := client(t, s, keySet(t, public(key("collector")))).Send(t.Context(), batch(t, 1))
			var send *uplink.SendError
			if !errors.As(err, &send) || !errors.Is(err, c.kind) || send.RetryAfter != c.hint {
				t.Errorf("Send = %v (%+v), want %v with a wish of %v", err, send, c.kind, c.hint)
			}
			if tries != c.tries || len(keys) != 1 {
				t.Errorf("%d tries with %d idempotency keys, want %d with 1", tries, len(keys), c.tries)
			}
		})
	}
}

func TestAHugeErrorBodyIsNotRead(t *testing.T) {
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for _, status := range []int{200, 400, 503} {
		s := tlsServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			for range 100 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}))
		c := client(t, s, keySet(t, public(key("collector"))))
		sent := batch(t, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.Send(t.Context(), sent)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("status %d with 100 MB: Send = nil error, want one", status)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 32<<20 {
			t.Errorf("status %d with 100 MB: %d bytes allocated on both sides, want at most 32 MiB", status, spent)
		}
	}
}

func TestASlowAnswerEndsWithTheContext(t *testing.T) {
	for name, header := range map[string]bool{"before the header": false, "in the body": true} {
		t.Run(name, func(t *testing.T) {
			started := make(chan struct{})
			s := tlsServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if header {
					_, _ = io.WriteString(w, "{")
					_ = http.NewResponseController(w).Flush()
				}
				close(started)
				drip := time.NewTicker(time.Second)
				defer drip.Stop()
				for {
					select {
					case <-r.Context().Done():
						return
					case <-drip.C:
						if header {
							_, _ = io.WriteString(w, " ")
							_ = http.NewResponseController(w).Flush()
						}
					}
				}
			}))
			c := client(t, s, keySet(t, public(key("collector"))))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			sent := batch(t, 1)
			go func() {
				_, err := c.Send(ctx, sent)
				done <- err
			}()
			<-started
			cancel()
			begin := time.Now()
			err := <-done
			if took := time.Since(begin); !errors.Is(err, context.Canceled) || took > 2*time.Second {
				t.Errorf("Send = %v after %v, want context.Canceled within 2 s", err, took)
			}
		})
	}
}

func TestAnAddressThatIsNotSafeIsRefusedByName(t *testing.T) {
	pool := &tls.Config{RootCAs: x509.NewCertPool()}
	for name, c := range map[string]struct {
		url  string
		tls  *tls.Config
		says string // "" for accepted
	}{
		"https with a pinned CA":      {"https://collector.example/base", pool, ""},
		"http to loopback":            {"http://127.0.0.1:8080", nil, ""},
		"http to loopback, IPv6":      {"http://[::1]:8080", nil, ""},
		"http to a host":              {"http://collector.example", nil, "plain http to collector.example"},
		"http to a name for loopback": {"http://localhost:8080", nil, "plain http to localhost"},
		"http to an address":          {"http://10.0.0.1", pool, "plain http to 10.0.0.1"},
		"https with the world's CAs":  {"https://collector.example", &tls.Config{}, "pinned CA"},
		"https without a config":      {"https://collector.example", nil, "pinned CA"},
		"https without verification":  {"https://collector.example", &tls.Config{RootCAs: pool.RootCAs, InsecureSkipVerify: true}, "without verification"},
		"another scheme":              {"ftp://collector.example", pool, "scheme"},
		"a password":                  {"https://user:hunter2@collector.example", pool, "must be"},
		"nonsense":                    {"://hunter2", pool, "parse"},
	} {
		_, err := https.New(https.Config{URL: c.url, TLS: c.tls, CollectorKeys: keySet(t, public(key("collector"))), Tenant: tenant, Device: device})
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: New = %v, want nil", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: New = %v, want an error that says %q and no secret", name, err, c.says)
		}
	}
}

func TestAServerThatIsNotPinnedGetsNothing(t *testing.T) {
	asked := false
	s := tlsServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	c, err := https.New(https.Config{
		URL: s.URL, TLS: &tls.Config{RootCAs: x509.NewCertPool()}, CollectorKeys: keySet(t, public(key("collector"))), Tenant: tenant, Device: device,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Send(t.Context(), batch(t, 1)); !errors.Is(err, uplink.ErrUnreachable) || asked {
		t.Errorf("Send = %v, asked %v, want ErrUnreachable and no request", err, asked)
	}
}

func TestNeitherTheAddressNorHeadersAreLogged(t *testing.T) {
	var out bytes.Buffer
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there any more
	c, err := https.New(https.Config{
		URL: "http://" + l.Addr().String() + "/secret-path", CollectorKeys: keySet(t, public(key("collector"))), Tenant: tenant, Device: device,
		Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Send(t.Context(), batch(t, 1))
	if !errors.Is(err, uplink.ErrUnreachable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Send = %v, want ErrUnreachable without the path", err)
	}
	if log := out.String(); !strings.Contains(log, "connection refused") || strings.Contains(log, "secret") || strings.Contains(log, "Idempotency") {
		t.Errorf("log = %s, want the cause, without path and headers", log)
	}
}

func TestADeviceEnrolsAndIsThenBelieved(t *testing.T) {
	const claim = "claim-token-for-one-device"
	c, err := collector.Open(t.TempDir(), collector.Options{ClaimTokens: []collector.Secret{claim}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := tlsServer(t, c.Handler())
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	e := https.Enrolment{URL: s.URL, TLS: &tls.Config{RootCAs: pool}, Tenant: tenant, Device: device, PublicKey: public(key(device)), ClaimToken: "wrong"}
	if _, err := https.Enrol(t.Context(), e); !errors.Is(err, https.ErrEnrolment) {
		t.Errorf("Enrol with a wrong token = %v, want ErrEnrolment", err)
	}
	e.ClaimToken = claim
	keys, err := https.Enrol(t.Context(), e)
	if err != nil {
		t.Fatalf("Enrol: %v", err)
	}
	if acks, err := client(t, s, keys).Send(t.Context(), batch(t, 1)); err != nil || len(acks) != 1 {
		t.Errorf("Send after Enrol = %d acknowledgements, %v, want 1", len(acks), err)
	}
}
