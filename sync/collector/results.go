package collector

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
)

const (
	maxBody = 1 << 20
	// deviceHeader names the sender as "tenant/device". It is a claim: a
	// client certificate, where there is one, and every record's signature
	// must bear it out.
	deviceHeader = "Edgeverify-Device"
)

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,200}$`)

// results answers POST /v1/results:batch. The order is from cheap to dear: size,
// identity, frame, signatures, one transaction, receipt.
func (c *Collector) results(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > maxBody {
		refuse(w, http.StatusRequestEntityTooLarge, "too_large", "body above 1 MiB")
		return
	}
	if r.Header.Get("Content-Encoding") != "zstd" {
		refuse(w, http.StatusUnsupportedMediaType, "encoding", "Content-Encoding must be zstd")
		return
	}
	tenant, device, keys, ok := c.identify(w, r)
	if !ok {
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if !keyPattern.MatchString(key) || !strings.HasPrefix(key, device+":") {
		refuse(w, http.StatusBadRequest, "idempotency_key", "Idempotency-Key must be <device>:<epoch>:<first>-<last>:<digest>")
		return
	}
	running := string(devicePrefix(tenant, device)) + key
	if !c.running.begin(running) {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusConflict, "in_progress", "the same delivery is in progress")
		return
	}
	defer c.running.end(running)

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuseRead(w, err)
		return
	}
	raws, err := record.DecodeBatch(body)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, record.ErrBatchTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		refuse(w, status, "frame", err.Error())
		return
	}
	b, err := examine(raws, tenant, device, keys)
	if err != nil {
		refuse(w, http.StatusBadRequest, "record", err.Error())
		return
	}
	now := time.Now()
	request := batchRequest{tenant: tenant, device: device, key: key, body: sha256.Sum256(body)}
	verdicts, commitID, err := c.store.commit(request, b.good, now)
	switch {
	case errors.Is(err, errKeyReused):
		refuse(w, http.StatusUnprocessableEntity, "key_reused", err.Error())
		return
	case err != nil:
		c.log.Error("commit of a batch", "tenant", tenant, "device", device, "error", err)
		w.Header().Set("Retry-After", "30")
		refuse(w, http.StatusServiceUnavailable, "store", "the store is out of order")
		return
	}
	c.sound(tenant, device, b, verdicts)
	if c.options.CrashAfterCommit != nil {
		c.options.CrashAfterCommit()
	}
	signed, err := record.SignReceipt(b.receipt(tenant, device, verdicts, commitID, now), c.keys.current)
	if err != nil {
		c.log.Error("sign receipt", "tenant", tenant, "device", device, "error", err)
		refuse(w, http.StatusInternalServerError, "receipt", "the receipt could not be signed")
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"receipt": string(signed)})
}

// identify returns the sender and its keys, or answers 401, 403 or 429.
func (c *Collector) identify(w http.ResponseWriter, r *http.Request) (tenant, device string, keys deviceKeys, ok bool) {
	tenant, device, _ = strings.Cut(r.Header.Get(deviceHeader), "/")
	if !namePattern.MatchString(tenant) || !namePattern.MatchString(device) {
		refuse(w, http.StatusUnauthorized, "identity", deviceHeader+" must be <tenant>/<device>")
		return "", "", nil, false
	}
	// Without a certificate the name is a claim: limit who claims it, so that
	// a stranger cannot use up the device's share.
	sender, _, _ := net.SplitHostPort(r.RemoteAddr)
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		subject := r.TLS.VerifiedChains[0][0].Subject
		if subject.CommonName != device || len(subject.Organization) != 1 || subject.Organization[0] != tenant {
			c.log.Error("certificate of another device", "tenant", tenant, "device", device)
			refuse(w, http.StatusForbidden, "identity", "the client certificate is not this device's")
			return "", "", nil, false
		}
		sender = ""
	}
	keys, err := c.store.device(tenant, device)
	switch {
	case errors.Is(err, ErrUnknownDevice):
		refuse(w, http.StatusForbidden, "identity", err.Error())
		return "", "", nil, false
	case err != nil:
		c.log.Error("read the register of devices", "error", err)
		refuse(w, http.StatusServiceUnavailable, "store", "the store is out of order")
		return "", "", nil, false
	}
	if !c.limits.allow(string(devicePrefix(tenant, device)) + sender) {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "rate", "too many batches from this device")
		return "", "", nil, false
	}
	return tenant, device, keys, true
}

// examined is a batch whose signatures were looked at.
type examined struct {
	items []record.ReceiptItem // one per record, in the order sent
	good  []arriving           // those that may be stored
	at    []int                // their places in items
}

// examine verifies every record. A bad one is rejected by itself; only one that
// does not even say its position makes the batch unanswerable, and an error.
func examine(raws [][]byte, tenant, device string, keys deviceKeys) (examined, error) {
	lookup := func(kid string) (crypto.PublicKey, error) {
		key, ok := keys[kid]
		if !ok {
			return nil, record.ErrUnknownKey
		}
		return key, nil
	}
	b := examined{items: make([]record.ReceiptItem, len(raws))}
	for i, raw := range raws {
		digest := record.Digest(raw)
		e, err := record.Verify(raw, lookup)
		if err != nil {
			epoch, seq, ok := claimedPosition(raw)
			if !ok {
				return examined{}, fmt.Errorf("record %d of %d says no position", i+1, len(raws))
			}
			b.items[i] = record.ReceiptItem{
				Epoch: epoch, Seq: seq, SHA256: digest, Status: record.Rejected, Code: rejection(err),
			}
			continue
		}
		b.items[i] = record.ReceiptItem{Epoch: e.Epoch, Seq: e.Seq, SHA256: digest}
		if e.Tenant != tenant || e.Device != device {
			b.items[i].Status, b.items[i].Code = record.Rejected, record.CodeWrongDevice
			continue
		}
		b.good = append(b.good, arriving{envelope: e, digest: digest, raw: raw})
		b.at = append(b.at, i)
	}
	return b, nil
}

func rejection(err error) string {
	switch {
	case errors.Is(err, record.ErrUnknownKey):
		return record.CodeUnknownKey
	case errors.Is(err, record.ErrSignature):
		return record.CodeSignature
	default:
		return record.CodeMalformed
	}
}

// claimedPosition reads where a refused record says it belongs, so that the
// device can find it. The digest beside it in the receipt keeps a lie harmless.
func claimedPosition(raw []byte) (epoch uint32, seq uint64, ok bool) {
	parts := bytes.Split(raw, []byte("."))
	if len(parts) != 3 {
		return 0, 0, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil {
		return 0, 0, false
	}
	var position struct {
		Epoch uint32 `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	if err := json.Unmarshal(payload, &position); err != nil {
		return 0, 0, false
	}
	return position.Epoch, position.Seq, position.Epoch > 0 && position.Seq > 0
}

func (b examined) receipt(tenant, device string, verdicts []verdict, commitID string, now time.Time) record.Receipt {
	for i, v := range verdicts {
		item := &b.items[b.at[i]]
		item.Status, item.Code = v.status, v.code
	}
	return record.Receipt{Tenant: tenant, Device: device, Items: b.items, CommitID: commitID, Time: now}
}

// sound raises the alarms of one batch: equivocations, reused rids, and records
// of others.
func (c *Collector) sound(tenant, device string, b examined, verdicts []verdict) {
	for i, v := range verdicts {
		e := b.good[i].envelope
		switch v.code {
		case record.CodeEquivocation:
			c.log.Error("equivocation: two records for one position", "tenant", tenant, "device", device, "epoch", e.Epoch, "seq", e.Seq)
		case codeRIDReused:
			c.log.Error("two outcomes under one rid", "tenant", tenant, "device", device, "epoch", e.Epoch, "seq", e.Seq)
		}
	}
	codes := map[string]int{}
	for _, item := range b.items {
		if item.Code != "" {
			codes[item.Code]++
		}
	}
	for code, n := range codes {
		c.log.Warn("records rejected", "tenant", tenant, "device", device, "code", code, "records", n)
	}
}
