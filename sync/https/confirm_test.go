package https_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/https"
)

func TestOnlyAVerifiedReceiptTellsTheTime(t *testing.T) {
	c, err := collector.Open(t.TempDir(), collector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.AddDevice(tenant, device, public(key(device))); err != nil {
		t.Fatal(err)
	}
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"receipt":""}`)) })
	for name, answers := range map[string]struct {
		handler http.Handler
		told    int
	}{"collector": {c.Handler(), 1}, "somebody else": {empty, 0}} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(answers.handler)
			s.StartTLS()
			defer s.Close()
			pool := x509.NewCertPool()
			pool.AddCert(s.Certificate())
			var told []time.Time
			client, err := https.New(https.Config{
				URL: s.URL, TLS: &tls.Config{RootCAs: pool}, CollectorKeys: keySet(t, c.PublicKeys()...), Tenant: tenant, Device: device,
				Confirm: func(at time.Time) error { told = append(told, at); return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			before := time.Now()
			_, err = client.Send(t.Context(), batch(t, 1))
			if len(told) != answers.told || (err == nil) != (answers.told == 1) {
				t.Fatalf("Send: got %v and %d times told, want %d", err, len(told), answers.told)
			}
			for _, at := range told {
				if at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
					t.Errorf("told %v, want the time of the commit", at)
				}
			}
		})
	}
}
