package https

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
	"github.com/edgeverify/edgeverify/sync/uplink"
	"github.com/hashicorp/go-retryablehttp"
)

// Config says which collector to talk to, and as whom. URL, CollectorKeys,
// Tenant and Device are required.
type Config struct {
	// URL is the collector's base, https://host[:port][/path]. Plain http is
	// accepted for loopback addresses only.
	URL string
	// TLS holds the pinned CA pool (RootCAs) and the client certificate
	// (GetClientCertificate). The least version is raised to 1.3. Required
	// with https, because the system's roots would let any public CA in.
	TLS *tls.Config
	// CollectorKeys are those whose receipts count.
	CollectorKeys  record.CollectorKeys
	Tenant, Device string
	// Confirm is told the time of every receipt that was verified, from which
	// the device knows that it has passed; nil where nobody asks.
	Confirm func(time.Time) error
	// Logger receives retries at debug level; nil discards them.
	Logger *slog.Logger
}

const (
	requestTimeout = 30 * time.Second
	// maxAnswer bounds what is read of any answer.
	maxAnswer = 64 << 10
	// deviceHeader names the sender; see the collector.
	deviceHeader = "Edgeverify-Device"
)

// A Client is a transport for an uplink. It may be used concurrently.
type Client struct {
	base   *url.URL
	http   *retryablehttp.Client
	keys   record.CollectorKeys
	tenant string
	device string
	// confirm is never nil.
	confirm func(time.Time) error
	log     *slog.Logger
}

var _ uplink.Transport = (*Client)(nil)

// New returns a client; it does not connect. The caller calls Close.
func New(c Config) (*Client, error) {
	base, err := collectorURL(c.URL, c.TLS)
	if err != nil {
		return nil, fmt.Errorf("https transport: %w", err)
	}
	switch {
	case len(c.CollectorKeys.IDs()) == 0:
		return nil, errors.New("https transport: no collector keys")
	case c.Tenant == "" || c.Device == "":
		return nil, errors.New("https transport: tenant and device are required")
	}
	confirm, log := c.Confirm, c.Logger
	if confirm == nil {
		confirm = func(time.Time) error { return nil }
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		confirm: confirm,
		log:     log,
		base:    base,
		http:    newHTTP(c.TLS, c.Logger),
		keys:    c.CollectorKeys,
		tenant:  c.Tenant,
		device:  c.Device,
	}, nil
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.HTTPClient.CloseIdleConnections()
	return nil
}

// collectorURL refuses by name what would send records, or a claim token, in
// the clear or to whoever a public CA vouches for.
func collectorURL(raw string, config *tls.Config) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("collector URL does not parse") // the parser's error repeats it, secrets and all
	}
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("collector URL must be https://host[:port][/path]")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("collector URL: plain http to %s refused, only loopback addresses may go without TLS", u.Hostname())
	case u.Scheme == "https" && (config == nil || config.RootCAs == nil):
		return nil, errors.New("collector URL: https needs a pinned CA (TLS.RootCAs)")
	case u.Scheme == "https" && config.InsecureSkipVerify:
		return nil, errors.New("collector URL: TLS without verification refused")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("collector URL: scheme %q, want https", u.Scheme)
	}
	return u, nil
}

// loopback accepts literal addresses only: a name can be made to resolve
// elsewhere.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Send implements uplink.Transport.
func (c *Client) Send(ctx context.Context, batch []outbox.Item) ([]record.Acknowledgement, error) {
	raws := make([][]byte, len(batch))
	for i, item := range batch {
		raws[i] = item.Raw
	}
	body, err := record.EncodeBatch(raws)
	if err != nil {
		return nil, &uplink.SendError{Kind: uplink.ErrRefused, Err: err}
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("v1/results:batch").String(), body)
	if err != nil {
		return nil, &uplink.SendError{Kind: uplink.ErrUnreachable, Err: err}
	}
	req.Header.Set("Content-Type", "application/vnd.edgeverify.batch.v1")
	req.Header.Set("Content-Encoding", "zstd")
	req.Header.Set("Idempotency-Key", idempotencyKey(c.device, batch, body))
	req.Header.Set(deviceHeader, c.tenant+"/"+c.device)
	resp, err := c.http.Do(req)
	if resp != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		return nil, &uplink.SendError{Kind: uplink.ErrUnreachable, Err: withoutURL(err)}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp)
	}
	return c.receipt(resp.Body)
}

// receipt reads an answer that claims success. Only a valid receipt makes it one.
func (c *Client) receipt(body io.Reader) ([]record.Acknowledgement, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return nil, &uplink.SendError{Kind: uplink.ErrUnreachable, Err: fmt.Errorf("read receipt: %w", err)}
	}
	if len(raw) > maxAnswer {
		return nil, &uplink.SendError{Kind: uplink.ErrNoReceipt, Err: fmt.Errorf("answer above %d bytes", maxAnswer)}
	}
	var answer struct {
		Receipt string `json:"receipt"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, &uplink.SendError{Kind: uplink.ErrNoReceipt, Err: errors.New("answer is not {receipt}")}
	}
	r, err := record.VerifyReceipt([]byte(answer.Receipt), c.keys, c.tenant, c.device)
	if err != nil {
		return nil, &uplink.SendError{Kind: uplink.ErrNoReceipt, Err: err}
	}
	if err := c.confirm(r.Time); err != nil {
		// The records arrived all the same.
		c.log.Warn("time of a receipt not kept", "error", err)
	}
	return r.Acknowledgements(), nil
}

// refusal classes an answer that is not 200.
func refusal(resp *http.Response) error {
	e := &uplink.SendError{
		Kind:       uplink.ErrUnreachable,
		RetryAfter: retryAfter(resp),
		Err:        fmt.Errorf("HTTP status %d%s", resp.StatusCode, problemCode(resp)),
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		e.Kind = uplink.ErrRefused
	case http.StatusConflict:
		if !inProgress(resp) {
			e.Kind = uplink.ErrRefused
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Kind = uplink.ErrIdentity
	}
	return e
}

// problemCode returns the code of a problem+json answer for the log, if there is
// one that is safe to print.
func problemCode(resp *http.Response) string {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		return ""
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return ""
	}
	var p struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(raw, &p) != nil || len(p.Code) > 32 || strings.Trim(p.Code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return " " + p.Code
}

// idempotencyKey returns "<device>:<epoch>:<first>-<last>:<batch sha256[:16]>".
// The batch is not empty.
func idempotencyKey(device string, batch []outbox.Item, body []byte) string {
	first, last := batch[0].Seq, batch[0].Seq
	for _, item := range batch {
		first, last = min(first, item.Seq), max(last, item.Seq)
	}
	sum := sha256.Sum256(body)
	return fmt.Sprintf("%s:%d:%d-%d:%s", device, batch[0].Epoch, first, last, hex.EncodeToString(sum[:8]))
}

// withoutURL strips the address from an error of net/http: paths may hold
// secrets.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
