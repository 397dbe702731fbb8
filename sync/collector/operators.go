package collector

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
)

// operatorsOnly admits requests with the admin token or, where none is set, from
// loopback. Loopback means that both ends say so: a page in a local browser
// reaches us by another host name, and some proxies on this machine add a
// Forwarded header. Those that add none are why a token, once set, is always
// asked for.
func (c *Collector) operatorsOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.isOperator(r) {
			next(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "operators_only", "an admin token is needed, or a collector without one and a request from its own host")
	}
}

func (c *Collector) isOperator(r *http.Request) bool {
	if c.options.AdminToken == "" {
		return isLoopback(r)
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return sameSecret(token, string(c.options.AdminToken))
}

func isLoopback(r *http.Request) bool {
	if r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "" {
		return false
	}
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !net.ParseIP(remote).IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}

// sameSecret compares in a time that tells neither content nor length.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// listGaps answers GET /v1/devices/{id}/gaps?epoch=N[&tenant=T].
func (c *Collector) listGaps(w http.ResponseWriter, r *http.Request) {
	device, tenant := r.PathValue("id"), r.URL.Query().Get("tenant")
	epoch, err := strconv.ParseUint(r.URL.Query().Get("epoch"), 10, 32)
	if err != nil || epoch == 0 {
		refuse(w, http.StatusBadRequest, "epoch", "epoch must be a number from 1")
		return
	}
	if tenant == "" {
		tenants, err := c.store.tenantsOf(device)
		if err != nil {
			c.unavailable(w, "find the tenant of a device", err)
			return
		}
		if len(tenants) > 1 {
			refuse(w, http.StatusBadRequest, "tenant", "more than one tenant has this device: say tenant=")
			return
		}
		if len(tenants) == 1 {
			tenant = tenants[0]
		}
	}
	if _, err := c.store.device(tenant, device); errors.Is(err, ErrUnknownDevice) {
		refuse(w, http.StatusNotFound, "device", err.Error())
		return
	}
	g, err := c.Gaps(r.Context(), tenant, device, uint32(epoch))
	if err != nil {
		c.unavailable(w, "list gaps", err)
		return
	}
	writeJSON(w, http.StatusOK, g)
}

// listed is one row of GET /v1/records.
type listed struct {
	Arrival  uint64          `json:"arrival"`
	Received time.Time       `json:"received"`
	Tenant   string          `json:"tenant"`
	Device   string          `json:"device"`
	Epoch    uint32          `json:"epoch"`
	Seq      uint64          `json:"seq"`
	RID      string          `json:"rid"`
	Kind     record.Kind     `json:"kind"`
	SHA256   string          `json:"sha256"`
	Summary  json.RawMessage `json:"summary"`
}

// listRecords answers GET /v1/records?after=N&limit=N[&tenant=T][&device=D], in
// order of arrival.
func (c *Collector) listRecords(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, limit := uint64(0), 100
	var err error
	if s := q.Get("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 63); err != nil {
			refuse(w, http.StatusBadRequest, "after", "after must be an arrival number")
			return
		}
	}
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil {
			refuse(w, http.StatusBadRequest, "limit", errLimit.Error())
			return
		}
	}
	stored, err := c.Records(r.Context(), q.Get("tenant"), q.Get("device"), after, limit)
	if errors.Is(err, errLimit) {
		refuse(w, http.StatusBadRequest, "limit", errLimit.Error())
		return
	}
	if err != nil {
		c.unavailable(w, "list records", err)
		return
	}
	rows := make([]listed, len(stored))
	for i, s := range stored {
		e := s.Envelope
		rows[i] = listed{
			Arrival: s.Arrival, Received: s.Received, Tenant: e.Tenant, Device: e.Device,
			Epoch: e.Epoch, Seq: e.Seq, RID: e.RID, Kind: e.Kind,
			SHA256: hex.EncodeToString(s.Digest[:]), Summary: summary(e.Body),
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"records": rows})
}

// summary keeps the members of a body that an operator reads at a glance.
func summary(body json.RawMessage) json.RawMessage {
	var s struct {
		Verification json.RawMessage `json:"verification,omitempty"`
		Status       json.RawMessage `json:"status,omitempty"`
		Verdict      json.RawMessage `json:"verdict,omitempty"`
		Decision     json.RawMessage `json:"decision,omitempty"`
		Reasons      json.RawMessage `json:"reasons,omitempty"`
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return json.RawMessage("{}")
	}
	out, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage("{}")
	}
	return out
}

// time answers GET /v1/time?nonce=N with a signed clock.
func (c *Collector) time(w http.ResponseWriter, r *http.Request) {
	nonce := r.URL.Query().Get("nonce")
	if !namePattern.MatchString(nonce) {
		refuse(w, http.StatusBadRequest, "nonce", "nonce must be 1 to 64 of A-Z a-z 0-9 . _ -")
		return
	}
	signed, err := record.SignTime(time.Now(), nonce, c.keys.current)
	if err != nil {
		c.unavailable(w, "sign the time", err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"time": string(signed)})
}

// health answers GET /v1/health: 200 if the store can be read.
func (c *Collector) health(w http.ResponseWriter, _ *http.Request) {
	if _, err := c.store.tenantsOf(""); err != nil {
		c.unavailable(w, "read the store", err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (c *Collector) unavailable(w http.ResponseWriter, what string, err error) {
	if !errors.Is(err, context.Canceled) {
		c.log.Error(what, "error", err)
	}
	refuse(w, http.StatusServiceUnavailable, "store", "the store is out of order")
}
