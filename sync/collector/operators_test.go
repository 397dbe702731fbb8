package collector_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/record"
)

const claimToken = "claim-token-for-one-device"

func enrolRequest(t *testing.T, url string, d *device, claim string) *http.Request {
	t.Helper()
	body, err := json.Marshal(map[string]any{"tenant": d.tenant, "device": d.name, "public_key": []byte(d.public())})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/enroll", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+claim)
	return req
}

func TestAClaimTokenEnrolsOneDevice(t *testing.T) {
	first, second := newDevice("kiosk-1"), newDevice("kiosk-2")
	c, s := serve(t, collector.Options{ClaimTokens: []collector.Secret{claimToken}})
	for range 2 { // the first answer may be lost
		status, body := do(t, enrolRequest(t, s.URL, first, claimToken))
		var answer struct {
			Keys []ed25519.PublicKey `json:"collector_keys"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || status != 200 || len(answer.Keys) != 1 || !answer.Keys[0].Equal(c.PublicKeys()[0]) {
			t.Fatalf("enrol = %d %s, want 200 and the collector's key", status, body)
		}
	}
	receipt(t, c, first, first.request(t, s.URL, first.next(t)))
	if status, body := do(t, enrolRequest(t, s.URL, second, claimToken)); status != http.StatusForbidden {
		t.Errorf("enrol of a second device with the token = %d %s, want 403", status, body)
	}
	if status, body := do(t, enrolRequest(t, s.URL, second, "another-token-altogether")); status != http.StatusUnauthorized {
		t.Errorf("enrol with an unknown token = %d %s, want 401", status, body)
	}
}

func TestWithoutClaimTokensNobodyEnrols(t *testing.T) {
	_, s := serve(t, collector.Options{})
	if status, body := do(t, enrolRequest(t, s.URL, newDevice("kiosk-1"), "")); status != http.StatusForbidden {
		t.Errorf("enrol = %d %s, want 403", status, body)
	}
}

func TestGapsListsWhatHasNotArrived(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	d.seq = 4 // this epoch goes on counting
	var all [][]byte
	for range 8 {
		all = append(all, d.next(t)) // 5 to 12
	}
	gaps := func() collector.Gaps {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/devices/kiosk-1/gaps?epoch=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		status, body := do(t, req)
		var g collector.Gaps
		if err := json.Unmarshal(body, &g); err != nil || status != 200 {
			t.Fatalf("gaps = %d %s, want 200", status, body)
		}
		return g
	}
	receipt(t, c, d, d.request(t, s.URL, all[2], all[6]))
	if g := gaps(); g.First != 0 || g.Last != 11 || len(g.Missing) != 1 || g.Missing[0] != [2]uint64{8, 10} {
		t.Errorf("gaps before the first record = %+v, want 8-10 up to 11, beginning unknown", g)
	}
	receipt(t, c, d, d.request(t, s.URL, all[0]))
	if g := gaps(); g.First != 5 || len(g.Missing) != 2 || g.Missing[0] != [2]uint64{6, 6} || g.Missing[1] != [2]uint64{8, 10} {
		t.Errorf("gaps = %+v, want 6-6 and 8-10 from 5", g)
	}
}

func TestRecordsAreListedInOrderOfArrival(t *testing.T) {
	d := newDevice("kiosk-1")
	c, s := serve(t, collector.Options{}, d)
	first, second, third := d.next(t), d.next(t), d.next(t)
	receipt(t, c, d, d.request(t, s.URL, third))
	receipt(t, c, d, d.request(t, s.URL, first, second))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/records?after=1&limit=1&device=kiosk-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	status, body := do(t, req)
	var page struct {
		Records []struct {
			Arrival, Seq uint64
			Summary      struct{ Status string }
		}
	}
	if err := json.Unmarshal(body, &page); err != nil || status != 200 {
		t.Fatalf("records = %d %s, want 200", status, body)
	}
	if len(page.Records) != 1 || page.Records[0].Arrival != 2 || page.Records[0].Seq != 1 || page.Records[0].Summary.Status != "approved" {
		t.Errorf("records after 1 = %s, want arrival 2 with seq 1, approved", body)
	}
}

func TestOnlyOperatorsReadRecords(t *testing.T) {
	const token = "an-admin-token-of-ours"
	without := open(t, t.TempDir(), collector.Options{})
	with := open(t, t.TempDir(), collector.Options{AdminToken: token})
	for name, tc := range map[string]struct {
		collector                      *collector.Collector
		remote, host, token, forwarded string
		want                           int
	}{
		"loopback":                       {without, "127.0.0.1:9", "localhost:8080", "", "", 200},
		"loopback, IPv6":                 {without, "[::1]:9", "[::1]:8080", "", "", 200},
		"another host":                   {without, "192.0.2.1:9", "collector.example", "", "", 401},
		"another host, any token":        {without, "192.0.2.1:9", "collector.example", token, "", 401},
		"a page in a local browser":      {without, "127.0.0.1:9", "evil.example", "", "", 401},
		"through a proxy that says so":   {without, "127.0.0.1:9", "localhost", "", "192.0.2.1", 401},
		"token set, another host":        {with, "192.0.2.1:9", "collector.example", "", "", 401},
		"token set, a wrong one":         {with, "192.0.2.1:9", "collector.example", "guess", "", 401},
		"token set, the right one":       {with, "192.0.2.1:9", "collector.example", token, "", 200},
		"token set, loopback":            {with, "127.0.0.1:9", "localhost:8080", token, "", 200},
		"token set, through plain proxy": {with, "127.0.0.1:9", "localhost:8080", "", "", 401},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/records", nil)
		req.RemoteAddr, req.Host = tc.remote, tc.host
		if tc.token != "" {
			req.Header.Set("Authorization", "Bearer "+tc.token)
		}
		if tc.forwarded != "" {
			req.Header.Set("X-Forwarded-For", tc.forwarded)
		}
		w := httptest.NewRecorder()
		tc.collector.Handler().ServeHTTP(w, req)
		if w.Code != tc.want {
			t.Errorf("%s: GET /v1/records = %d, want %d", name, w.Code, tc.want)
		}
	}
}

func TestTheTimeIsSignedForItsNonce(t *testing.T) {
	c, s := serve(t, collector.Options{})
	keys, err := record.NewCollectorKeys(c.PublicKeys()...)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/time?nonce=n1", nil)
	if err != nil {
		t.Fatal(err)
	}
	status, body := do(t, req)
	var answer struct{ Time string }
	if err := json.Unmarshal(body, &answer); err != nil || status != 200 {
		t.Fatalf("time = %d %s, want 200", status, body)
	}
	got, err := record.VerifyTime([]byte(answer.Time), keys, "n1")
	if err != nil || time.Since(got).Abs() > time.Minute {
		t.Errorf("VerifyTime = %v, %v, want about now", got, err)
	}
}

func TestTheReceiptKeyStaysAndLetsNobodyElseIn(t *testing.T) {
	dir := t.TempDir()
	c, err := collector.Open(dir, collector.Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	before := c.PublicKeys()[0]
	if _, err := collector.Open(dir, collector.Options{}); err == nil {
		t.Error("Open of a folder in use = nil error, want one")
	}
	if err := c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	path := filepath.Join(dir, "receipt.key")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("receipt.key: %v, %v, want mode 0600", info, err)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "receipt.next.key"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = collector.Open(dir, collector.Options{})
	if err != nil {
		t.Fatalf("Open again: %v", err)
	}
	if keys := c.PublicKeys(); len(keys) != 2 || !keys[0].Equal(before) {
		t.Errorf("PublicKeys after reopening = %d keys, want the same one and the next", len(keys))
	}
	if err := c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := collector.Open(dir, collector.Options{}); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("Open with a key that the group may read = %v, want an error that names 0600", err)
	}
}

func TestALostReceiptKeyIsNeverMadeAnew(t *testing.T) {
	dir := t.TempDir()
	c, err := collector.Open(dir, collector.Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	path := filepath.Join(dir, "receipt.key")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := collector.Open(dir, collector.Options{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open without the key = %v, want an error that names %s", err, path)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open made %s again", path)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if again := open(t, dir, collector.Options{}); !again.PublicKeys()[0].Equal(c.PublicKeys()[0]) {
		t.Error("Open with the key put back uses another one")
	}
}

func TestAKeyThatTheOperatorBringsIsUsed(t *testing.T) {
	first, dir := t.TempDir(), t.TempDir()
	want := open(t, first, collector.Options{}).PublicKeys()[0]
	raw, err := os.ReadFile(filepath.Join(first, "receipt.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "receipt.key"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir, collector.Options{}).PublicKeys()[0]; !got.Equal(want) {
		t.Error("Open of a new folder with a key in it made another key")
	}
}

func TestServeStopsWithinTwoSecondsAlsoWithASlowClient(t *testing.T) {
	c := open(t, t.TempDir(), collector.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, l, nil) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/results:batch HTTP/1.1\r\nHost: x\r\nContent-Le"); err != nil {
		t.Fatal(err)
	}
	cancel()
	begin := time.Now()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("Serve took %v to stop, want at most 2 s", took)
	}
}

func TestWithoutTLSOnlyLoopbackIsServed(t *testing.T) {
	c := open(t, t.TempDir(), collector.Options{})
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Serve(t.Context(), l, nil); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("Serve on %s without TLS = %v, want an error that names loopback", l.Addr(), err)
	}
}
