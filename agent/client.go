package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/sync/outbox"
)

// Client asks a device over its admin socket.
type Client struct {
	http *http.Client
	// local is set where this process serves the device itself.
	local  *Device
	stop   context.CancelFunc
	served chan error
}

// handOver is how long Connect waits for another command that is just opening
// or closing the device.
const handOver = 5 * time.Second

// Connect reaches the daemon on the data folder. Where none runs it opens the
// device in this process and serves it until Close.
func Connect(ctx context.Context, c Config, build Build, log *slog.Logger) (*Client, error) {
	deadline := time.Now().Add(handOver)
	for {
		client := dial(c.Data)
		err := client.reach(ctx)
		if err == nil {
			return client, nil
		}
		if !nobodyListens(err) {
			return nil, err
		}
		d, err := Open(ctx, c, build, log)
		switch {
		case err == nil:
			return client, client.serveLocally(ctx, d)
		case !inUse(err) || time.Now().After(deadline):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// reach finds out whether somebody serves the device.
func (c *Client) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	_, err := c.Health(ctx)
	return err
}

// nobodyListens: there is no socket, or its process died.
func nobodyListens(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// inUse: another process holds the folder.
func inUse(err error) bool {
	return errors.Is(err, outbox.ErrInUse) || errors.Is(err, vault.ErrInUse)
}

// serveLocally serves d until Close. Whoever found this process meanwhile may
// finish, unless it was told to stop.
func (c *Client) serveLocally(ctx context.Context, d *Device) error {
	l, err := listenAdmin(d.config.Data)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.local, c.stop, c.served = d, stop, make(chan error, 1)
	go func() { c.served <- serve(serving, l, d.admin(), lastRequests) }()
	return nil
}

// lastRequests is how long requests of other commands may take after this one
// is done.
const lastRequests = time.Minute

func dial(data string) *Client {
	path := filepath.Join(data, SocketName)
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

// Close ends the connection, and the device where this process served it.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	if c.local == nil {
		return nil
	}
	c.stop()
	return errors.Join(<-c.served, c.local.Close())
}

// Verify is Device.Verify.
func (c *Client) Verify(ctx context.Context, r VerifyRequest) (v verify.Verification, err error) {
	return v, c.call(ctx, http.MethodPost, "/verify", r, &v)
}

// Enrol is Device.Enrol.
func (c *Client) Enrol(ctx context.Context, r EnrolRequest) (e Enrolment, err error) {
	return e, c.call(ctx, http.MethodPost, "/enroll", r, &e)
}

// Health is Device.Health.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	return h, c.call(ctx, http.MethodGet, "/health", nil, &h)
}

// ConfirmClock tells the device that its clock is right.
func (c *Client) ConfirmClock(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/clock/confirm", nil, &struct{}{})
}

// OutboxList lists queued and quarantined records with a number above after.
func (c *Client) OutboxList(ctx context.Context, after uint64) (l []OutboxEntry, err error) {
	return l, c.call(ctx, http.MethodGet, fmt.Sprintf("/outbox?after=%d", after), nil, &l)
}

// OutboxShow is one record as it is signed.
func (c *Client) OutboxShow(ctx context.Context, seq uint64) (r OutboxRecord, err error) {
	return r, c.call(ctx, http.MethodGet, fmt.Sprintf("/outbox/%d", seq), nil, &r)
}

// OutboxStats counts.
func (c *Client) OutboxStats(ctx context.Context) (s OutboxStats, err error) {
	return s, c.call(ctx, http.MethodGet, "/outbox/stats", nil, &s)
}

// OutboxRetry takes a record out of quarantine.
func (c *Client) OutboxRetry(ctx context.Context, seq uint64) error {
	return c.call(ctx, http.MethodPost, fmt.Sprintf("/outbox/%d/retry", seq), nil, &struct{}{})
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://device"+path, &payload)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the device: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		problem := &Problem{Status: answer.StatusCode, Detail: answer.Status}
		if err := json.NewDecoder(answer.Body).Decode(problem); err != nil {
			return fmt.Errorf("ask the device: %s: %w", answer.Status, err)
		}
		return problem
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("ask the device: %w", err)
	}
	return nil
}
