package agent

import (
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
)

// OutboxEntry is one record that waits.
type OutboxEntry struct {
	Epoch      uint32      `json:"epoch"`
	Seq        uint64      `json:"seq"`
	RID        string      `json:"rid"`
	Kind       record.Kind `json:"kind"`
	SHA256     string      `json:"sha256"`
	Bytes      int         `json:"bytes"`
	Attempts   int         `json:"attempts"`
	Quarantine string      `json:"quarantine,omitempty"`
}

// OutboxRecord is one record with what it says.
type OutboxRecord struct {
	Raw     string          `json:"raw"` // JWS in compact form, as it is sent
	Payload json.RawMessage `json:"payload"`
}

// OutboxStats describes the queue.
type OutboxStats struct {
	Queued      int        `json:"queued"`
	Quarantined int        `json:"quarantined"`
	Pending     int        `json:"pending"` // outcomes of the vault that are not in the outbox yet
	Epoch       uint32     `json:"epoch"`
	NextSeq     uint64     `json:"next_seq"`
	UsedBytes   int64      `json:"used_bytes"`
	FileBytes   int64      `json:"file_bytes"`
	QuotaBytes  int64      `json:"quota_bytes"`
	Full        bool       `json:"full"`
	Fault       string     `json:"fault,omitempty"`
	Alarms      uint64     `json:"alarms"`
	Oldest      *time.Time `json:"oldest,omitempty"`
}

// listed is how many records one listing shows.
const listed = 1000

func (d *Device) outboxList(ctx context.Context, after uint64) ([]OutboxEntry, error) {
	entries, err := d.outbox.List(ctx, after, listed)
	if err != nil {
		return nil, err
	}
	out := make([]OutboxEntry, 0, len(entries))
	for _, e := range entries {
		out = append(out, OutboxEntry{
			Epoch: e.Epoch, Seq: e.Seq, RID: e.RID, Kind: e.Kind, SHA256: hex.EncodeToString(e.Digest[:]),
			Bytes: e.Size, Attempts: e.Attempts, Quarantine: e.Quarantine,
		})
	}
	return out, nil
}

func (d *Device) outboxShow(ctx context.Context, seq uint64) (OutboxRecord, error) {
	raw, err := d.outbox.Show(ctx, seq)
	if err != nil {
		return OutboxRecord{}, err
	}
	envelope, err := record.Verify(raw, d.ownKey)
	if err != nil {
		return OutboxRecord{}, err
	}
	payload, err := json.Marshal(envelope)
	return OutboxRecord{Raw: string(raw), Payload: payload}, err
}

func (d *Device) outboxStats(ctx context.Context) (OutboxStats, error) {
	s, err := d.outbox.Stats(ctx)
	if err != nil {
		return OutboxStats{}, err
	}
	pending, err := d.waiting(ctx)
	if err != nil {
		return OutboxStats{}, err
	}
	out := OutboxStats{
		Queued: s.Queued, Quarantined: s.Quarantined, Pending: pending, Epoch: s.Epoch, NextSeq: s.NextSeq,
		UsedBytes: s.Used, FileBytes: s.FileSize, QuotaBytes: s.Quota, Full: s.Full, Alarms: s.Alarms,
	}
	if s.Fault != nil {
		out.Fault = s.Fault.Error()
	}
	if !s.Oldest.IsZero() {
		out.Oldest = &s.Oldest
	}
	return out, nil
}

// ownKey finds the key of the device's own records.
func (d *Device) ownKey(string) (crypto.PublicKey, error) { return d.keys.Public(), nil }
