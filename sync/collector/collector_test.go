package collector_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/record"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"
)

// device makes records as a device does.
type device struct {
	tenant, name string
	key          ed25519.PrivateKey
	epoch        uint32
	seq          uint64
	prev         string
}

func newDevice(name string) *device {
	seed := sha256.Sum256([]byte(name))
	return &device{tenant: "bank", name: name, key: ed25519.NewKeyFromSeed(seed[:]), epoch: 1}
}

func (d *device) public() ed25519.PublicKey { return d.key.Public().(ed25519.PublicKey) }

func newRID(t testing.TB) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// sign returns the record at a position, outside the chain that next keeps.
func (d *device) sign(t testing.TB, seq uint64, prev, rid, body string) []byte {
	t.Helper()
	raw, err := record.Sign(record.Envelope{
		Tenant: d.tenant, Device: d.name, Epoch: d.epoch, Seq: seq, RID: rid, Prev: prev,
		Kind: record.Health, Body: json.RawMessage(body),
	}, d.key)
	if err != nil {
		t.Fatalf("record.Sign: %v", err)
	}
	return raw
}

func (d *device) next(t testing.TB) []byte {
	t.Helper()
	d.seq++
	raw := d.sign(t, d.seq, d.prev, newRID(t), fmt.Sprintf(`{"n":%d,"status":"approved"}`, d.seq))
	d.prev = record.FormatDigest(record.Digest(raw))
	return raw
}

func open(t testing.TB, dir string, o collector.Options) *collector.Collector {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	t.Helper()
	if o.Rate == 0 {
		o.Rate, o.Burst = rate.Inf, 1
	}
	c, err := collector.Open(dir, o)
	if err != nil {
		t.Fatalf("collector.Open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// serve opens a collector that knows the devices, behind a real listener.
func serve(t testing.TB, o collector.Options, devices ...*device) (*collector.Collector, *httptest.Server) {
	t.Helper()
	c := open(t, t.TempDir(), o)
	for _, d := range devices {
		if err := c.AddDevice(d.tenant, d.name, d.public()); err != nil {
			t.Fatalf("AddDevice: %v", err)
		}
	}
	s := httptest.NewServer(c.Handler())
	t.Cleanup(s.Close)
	return c, s
}

// request returns a batch as the device would post it.
func (d *device) request(t testing.TB, url string, records ...[]byte) *http.Request {
	t.Helper()
	body, err := record.EncodeBatch(records)
	if err != nil {
		t.Fatalf("EncodeBatch: %v", err)
	}
	return d.post(t, url, body)
}

func (d *device) post(t testing.TB, url string, body []byte) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/results:batch", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	req.Header.Set("Content-Encoding", "zstd")
	req.Header.Set("Edgeverify-Device", d.tenant+"/"+d.name)
	req.Header.Set("Idempotency-Key", d.name+":1:1-1:"+hex.EncodeToString(sum[:8]))
	return req
}

func do(t testing.TB, req *http.Request) (status int, body []byte) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read: %v", req.Method, req.URL.Path, err)
	}
	return resp.StatusCode, body
}

// receipt does req, which must give a valid receipt for the device.
func receipt(t testing.TB, c *collector.Collector, d *device, req *http.Request) record.Receipt {
	t.Helper()
	status, body := do(t, req)
	if status != http.StatusOK {
		t.Fatalf("post batch = %d %s, want 200", status, body)
	}
	return verify(t, c, d, body)
}

func verify(t testing.TB, c *collector.Collector, d *device, body []byte) record.Receipt {
	t.Helper()
	keys, err := record.NewCollectorKeys(c.PublicKeys()...)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Receipt string }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("answer %s: %v", body, err)
	}
	r, err := record.VerifyReceipt([]byte(answer.Receipt), keys, d.tenant, d.name)
	if err != nil {
		t.Fatalf("VerifyReceipt: %v", err)
	}
	return r
}

func rows(t testing.TB, c *collector.Collector) []collector.Stored {
	t.Helper()
	out, err := c.Records(context.Background(), "", "", 0, 1000)
	if err != nil {
		t.Fatalf("Records: %v", err)
	}
	return out
}

func wantItem(t testing.TB, r record.Receipt, i int, status record.AckStatus, code string) {
	t.Helper()
	if i >= len(r.Items) || r.Items[i].Status != status || r.Items[i].Code != code {
		t.Errorf("receipt item %d of %+v, want %s %q", i, r.Items, status, code)
	}
}

func TestMain(m *testing.M) {
	if dir := childDir(); dir != "" {
		crashChild(dir)
		return
	}
	if dir := os.Getenv(readerEnv); dir != "" {
		readDamaged(dir)
		return
	}
	goleak.VerifyTestMain(m)
}
