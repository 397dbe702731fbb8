package uplink_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
	"github.com/edgeverify/edgeverify/sync/uplink"
	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// sealer encrypts with a key of the test's own.
type sealer struct{ cipher.AEAD }

func newSealer(t testing.TB) sealer {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return sealer{aead}
}

func (s sealer) Seal(plain, aad []byte) ([]byte, error) {
	return s.AEAD.Seal(nil, nil, plain, aad), nil
}

func (s sealer) Open(sealed, aad []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, aad)
}

// site is a device's real outbox and a real collector, joined by a line without
// sockets, which a synctest bubble could not wait for.
type site struct {
	t         testing.TB
	box       *outbox.Box
	collector *collector.Collector
	handler   http.Handler
	keys      record.CollectorKeys

	garbled map[uint64]bool // seqs that reach the collector as garbage

	mu       sync.Mutex                      // guards what follows
	before   func(ctx context.Context) error // fails requests, if set
	after    func([]record.Acknowledgement) []record.Acknowledgement
	requests []request
}

// request is one batch that an uplink tried to send.
type request struct {
	size int
	at   time.Time
}

const (
	tenant = "bank"
	device = "kiosk-1"
)

func newSite(t testing.TB) *site {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	box, err := outbox.Open(context.Background(), filepath.Join(dir, "outbox"),
		outbox.Options{Tenant: tenant, Device: device, Signer: private, Sealer: newSealer(t), Quota: 64 << 20})
	if err != nil {
		t.Fatalf("outbox.Open: %v", err)
	}
	c, err := collector.Open(filepath.Join(dir, "collector"), collector.Options{Rate: rate.Inf, Burst: 1})
	if err != nil {
		t.Fatalf("collector.Open: %v", err)
	}
	if err := c.AddDevice(tenant, device, public); err != nil {
		t.Fatal(err)
	}
	keys, err := record.NewCollectorKeys(c.PublicKeys()...)
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, box: box, collector: c, handler: c.Handler(), keys: keys, garbled: map[uint64]bool{}}
}

func (s *site) close() {
	s.t.Helper()
	if err := errors.Join(s.box.Close(), s.collector.Close()); err != nil {
		s.t.Errorf("close: %v", err)
	}
}

func (s *site) put(n int) {
	s.t.Helper()
	for i := range n {
		id, err := uuid.NewV7()
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.box.Put(context.Background(), id.String(), record.Verification, fmt.Appendf(nil, `{"n":%d}`, i)); err != nil {
			s.t.Fatalf("Put: %v", err)
		}
	}
}

// setBefore and setAfter change the line while an uplink runs.
func (s *site) setBefore(f func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

func (s *site) setAfter(f func([]record.Acknowledgement) []record.Acknowledgement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

// tried returns the requests so far.
func (s *site) tried() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Send implements uplink.Transport.
func (s *site) Send(ctx context.Context, batch []outbox.Item) ([]record.Acknowledgement, error) {
	s.mu.Lock()
	s.requests = append(s.requests, request{len(batch), time.Now()})
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return nil, err
		}
	}
	var raws [][]byte
	for _, item := range batch {
		if s.garbled[item.Seq] {
			raws = append(raws, []byte("garbage"))
			continue
		}
		raws = append(raws, item.Raw)
	}
	body, err := record.EncodeBatch(raws)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/results:batch", bytes.NewReader(body))
	req.Header.Set("Content-Encoding", "zstd")
	req.Header.Set("Edgeverify-Device", tenant+"/"+device)
	req.Header.Set("Idempotency-Key", device+":1:1-1:"+hex.EncodeToString(sum[:8]))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, req)
	switch w.Code {
	case http.StatusOK:
	case http.StatusBadRequest:
		return nil, &uplink.SendError{Kind: uplink.ErrRefused, Err: errors.New(w.Body.String())}
	default:
		return nil, errors.New(w.Body.String())
	}
	var answer struct{ Receipt string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		return nil, err
	}
	r, err := record.VerifyReceipt([]byte(answer.Receipt), s.keys, tenant, device)
	if err != nil {
		return nil, err
	}
	acks := r.Acknowledgements()
	if after != nil {
		acks = after(acks)
	}
	return acks, nil
}

// want compares what the outbox and the collector hold.
func (s *site) want(queued, quarantined, rows int) {
	s.t.Helper()
	stats, err := s.box.Stats(context.Background())
	if err != nil {
		s.t.Fatalf("Stats: %v", err)
	}
	stored, err := s.collector.Records(context.Background(), "", "", 0, 1000)
	if err != nil {
		s.t.Fatalf("Records: %v", err)
	}
	if stats.Queued != queued || stats.Quarantined != quarantined || len(stored) != rows {
		s.t.Errorf("queued %d, quarantined %d, rows at the collector %d, want %d, %d, %d",
			stats.Queued, stats.Quarantined, len(stored), queued, quarantined, rows)
	}
}

// attempts returns what the outbox counts against a record.
func (s *site) attempts(seq uint64) int {
	s.t.Helper()
	entries, err := s.box.List(context.Background(), seq-1, 1)
	if err != nil || len(entries) != 1 {
		s.t.Fatalf("List = %+v, %v, want one entry", entries, err)
	}
	return entries[0].Attempts
}

// run starts an uplink, and stops it when the returned function is called.
func (s *site) run(o uplink.Options) (*uplink.Uplink, func()) {
	s.t.Helper()
	u := uplink.New(s.box, s, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	return u, func() {
		s.t.Helper()
		cancel()
		begin := time.Now()
		if err := <-done; err != nil || time.Since(begin) > 2*time.Second {
			s.t.Errorf("Run = %v after %v, want nil within 2 s", err, time.Since(begin))
		}
	}
}
