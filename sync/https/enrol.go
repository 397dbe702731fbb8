package https

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/edgeverify/edgeverify/sync/record"
)

// ErrEnrolment marks an enrolment that the collector refused.
var ErrEnrolment = errors.New("collector refused the enrolment")

// An Enrolment introduces a device to a collector that was started with claim
// tokens. URL and TLS are as in Config.
type Enrolment struct {
	URL            string
	TLS            *tls.Config
	Tenant, Device string
	PublicKey      ed25519.PublicKey // of the key that signs records
	ClaimToken     string
}

// Enrol registers the device's key and returns the keys whose receipts it should
// believe from now on. Both sides trust on first use. It tries once; the same
// call again is harmless. A refusal wraps ErrEnrolment.
func Enrol(ctx context.Context, e Enrolment) (record.CollectorKeys, error) {
	keys, err := enrol(ctx, e)
	if err != nil {
		return record.CollectorKeys{}, fmt.Errorf("enrol device: %w", err)
	}
	return keys, nil
}

func enrol(ctx context.Context, e Enrolment) (record.CollectorKeys, error) {
	base, err := collectorURL(e.URL, e.TLS)
	if err != nil {
		return record.CollectorKeys{}, err
	}
	body, err := json.Marshal(map[string]any{"tenant": e.Tenant, "device": e.Device, "public_key": []byte(e.PublicKey)})
	if err != nil {
		return record.CollectorKeys{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("v1/enroll").String(), bytes.NewReader(body))
	if err != nil {
		return record.CollectorKeys{}, errors.New("request cannot be made")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+e.ClaimToken)
	client := newHTTP(e.TLS, nil).HTTPClient
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return record.CollectorKeys{}, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return record.CollectorKeys{}, fmt.Errorf("%w: HTTP status %d%s", ErrEnrolment, resp.StatusCode, problemCode(resp))
	}
	var answer struct {
		Keys []ed25519.PublicKey `json:"collector_keys"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return record.CollectorKeys{}, fmt.Errorf("%w: answer is not {collector_keys}", ErrEnrolment)
	}
	return record.NewCollectorKeys(answer.Keys...)
}
