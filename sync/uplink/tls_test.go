package uplink_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/https"
	"github.com/edgeverify/edgeverify/sync/record"
	"github.com/edgeverify/edgeverify/sync/uplink"
)

func TestABacklogDrainsOverTLSThroughLostReceipts(t *testing.T) {
	const n = 1000
	s := newSite(t)
	defer s.close()
	s.put(n)
	var posts atomic.Int32
	finished := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if posts.Add(1)%2 == 1 {
			// The records are committed, but the receipt is lost.
			s.handler.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		s.handler.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	transport, err := https.New(https.Config{
		URL: server.URL, TLS: &tls.Config{RootCAs: pool}, CollectorKeys: s.keys, Tenant: tenant, Device: device,
	})
	if err != nil {
		t.Fatalf("https.New: %v", err)
	}
	defer transport.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	u := uplink.New(s.box, transport, uplink.Options{})
	begin := time.Now()
	go func() {
		defer close(finished)
		if err := u.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for u.State().Settled < n && ctx.Err() == nil {
		<-poll.C
	}
	t.Logf("%d records in %v with every other receipt lost", n, time.Since(begin))
	cancel()
	<-finished
	s.want(0, 0, n)
}

func BenchmarkDrain(b *testing.B) {
	s := newSite(b)
	defer s.close()
	server := httptest.NewTLSServer(s.handler)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	transport, err := https.New(https.Config{
		URL: server.URL, TLS: &tls.Config{RootCAs: pool}, CollectorKeys: s.keys, Tenant: tenant, Device: device,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer transport.Close()
	for range b.N {
		s.put(4 * record.MaxBatchRecords)
	}
	ctx, cancel := context.WithCancel(b.Context())
	u := uplink.New(s.box, transport, uplink.Options{})
	done := make(chan error, 1)
	b.ResetTimer()
	go func() { done <- u.Run(ctx) }()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	want := uint64(b.N * 4 * record.MaxBatchRecords)
	for u.State().Settled < want {
		<-poll.C
	}
	b.StopTimer()
	b.ReportMetric(float64(want)/b.Elapsed().Seconds(), "records/s")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
