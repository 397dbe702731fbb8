package collector_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/record"
)

// authority issues certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

func (a *authority) issue(t *testing.T, subject pkix.Name, ips ...net.IP) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject, IPAddresses: ips,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		a.cert, a.key = leaf, key
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestAClientCertificateMustBeTheSendersOwn(t *testing.T) {
	ca := &authority{}
	ca.issue(t, pkix.Name{CommonName: "root"})
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	d := newDevice("kiosk-1")
	c := open(t, t.TempDir(), collector.Options{})
	if err := c.AddDevice(d.tenant, d.name, d.public()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Serve(ctx, l, &tls.Config{
			Certificates: []tls.Certificate{ca.issue(t, pkix.Name{CommonName: "collector"}, net.IPv4(127, 0, 0, 1))},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
		})
	}()
	post := func(subject pkix.Name, most uint16) (int, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: pool, Certificates: []tls.Certificate{ca.issue(t, subject)}, MaxVersion: most,
		}}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		resp, err := client.Do(d.request(t, "https://"+l.Addr().String(), d.next(t)))
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	for name, tc := range map[string]struct {
		subject pkix.Name
		want    int
	}{
		"its own":                {pkix.Name{CommonName: "kiosk-1", Organization: []string{"bank"}}, 200},
		"another device's":       {pkix.Name{CommonName: "kiosk-2", Organization: []string{"bank"}}, 403},
		"another tenant's":       {pkix.Name{CommonName: "kiosk-1", Organization: []string{"shop"}}, 403},
		"one without a tenant":   {pkix.Name{CommonName: "kiosk-1"}, 403},
		"one with two tenants":   {pkix.Name{CommonName: "kiosk-1", Organization: []string{"bank", "shop"}}, 403},
		"one without any naming": {pkix.Name{}, 403},
	} {
		if got, err := post(tc.subject, 0); err != nil || got != tc.want {
			t.Errorf("post with %s certificate = %d, %v, want %d", name, got, err, tc.want)
		}
	}
	if _, err := post(pkix.Name{CommonName: "kiosk-1", Organization: []string{"bank"}}, tls.VersionTLS12); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("post over TLS 1.2 = %v, want a protocol version error", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func BenchmarkReceiveFullBatch(b *testing.B) {
	d := newDevice("kiosk-1")
	c, s := serve(b, collector.Options{}, d)
	var requests []*http.Request
	for range b.N {
		records := make([][]byte, record.MaxBatchRecords)
		for i := range records {
			records[i] = d.next(b)
		}
		requests = append(requests, d.request(b, s.URL, records...))
	}
	b.ResetTimer()
	for _, req := range requests {
		receipt(b, c, d, req)
	}
	b.ReportMetric(float64(b.N*record.MaxBatchRecords)/b.Elapsed().Seconds(), "records/s")
}
