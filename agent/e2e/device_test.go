//go:build e2e || soak

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// device is a data folder with its configuration.
type device struct {
	t      *testing.T
	folder string
	data   string
	config string   // file
	env    []string // of its processes, beside the test's own
	http   *http.Client
}

// newDevice makes a device that was told extra beside its data folder.
func newDevice(t *testing.T, extra string) *device {
	t.Helper()
	dir := folder(t)
	d := &device{t: t, folder: dir, data: filepath.Join(dir, "data"), config: filepath.Join(dir, "edgeverify.yaml")}
	d.http = &http.Client{Timeout: patience, Transport: &http.Transport{
		// A daemon that was killed must not be met again on an old connection.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", filepath.Join(d.data, "admin.sock"))
		},
	}}
	d.configure(extra)
	return d
}

// configure writes the configuration anew.
func (d *device) configure(extra string) {
	d.t.Helper()
	text := fmt.Sprintf("data: %s\ntenant: e2e\nhealth: \"\"\n%s", d.data, extra)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// run runs a command on the device to its end.
func (d *device) run(args ...string) result {
	d.t.Helper()
	return finish(d.t, d.env, append([]string{"--config", d.config}, args...)...)
}

// begin starts the daemon and does not wait for it.
func (d *device) begin() *process {
	d.t.Helper()
	return begin(d.t, program(d.t), d.log(), d.env, "--config", d.config, "run")
}

// start starts the daemon and waits until it answers.
func (d *device) start() *process {
	d.t.Helper()
	p := d.begin()
	d.ready(p)
	return p
}

// ready waits until the daemon p answers.
func (d *device) ready(p *process) {
	d.t.Helper()
	await(d.t, "the daemon answers", func() error {
		if p.ended() {
			d.t.Fatalf("the daemon ended with %d: %s", p.cmd.ProcessState.ExitCode(), tail(p.output(d.t)))
		}
		return d.ask(http.MethodGet, "/health", nil, nil)
	})
}

func (d *device) log() string { return filepath.Join(d.folder, "daemon.log") }

// file writes a picture into the device's folder and returns its path.
func (d *device) file(name string, content []byte) string {
	d.t.Helper()
	path := filepath.Join(d.folder, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// request is what the admin socket takes for a verification.
type request struct {
	Checks        []string `json:"checks"`
	Selfie        []byte   `json:"selfie,omitempty"`
	Camera        string   `json:"camera,omitempty"`
	DocumentFront []byte   `json:"document_front,omitempty"`
	DocumentBack  []byte   `json:"document_back,omitempty"`
}

// verification is what these tests read of an outcome.
type verification struct {
	ID        string   `json:"id"`
	Status    string   `json:"status"`
	Verdict   string   `json:"verdict"`
	Reasons   []string `json:"reasons"`
	Assurance string   `json:"assurance"`
	Checks    []struct {
		Name        string   `json:"name"`
		Result      string   `json:"result"`
		Reasons     []string `json:"reasons"`
		Strength    string   `json:"strength"`
		Attestation string   `json:"attestation"`
	} `json:"checks"`
}

// stats counts the outbox.
type stats struct {
	Queued      int    `json:"queued"`
	Quarantined int    `json:"quarantined"`
	Pending     int    `json:"pending"`
	NextSeq     uint64 `json:"next_seq"`
	Full        bool   `json:"full"`
	Alarms      uint64 `json:"alarms"`
}

// health is the device's own account of itself.
type health struct {
	State  string   `json:"state"`
	Faults []string `json:"faults"`
	Device string   `json:"device"`
	Outbox stats    `json:"outbox"`
}

// problem is an answer that is none.
type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d: %s", p.Status, p.Detail) }

// ask asks the daemon on the admin socket; *problem where it refuses.
func (d *device) ask(method, path string, body, into any) error {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://device"+path, &payload)
	if err != nil {
		return err
	}
	answer, err := d.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		p := &problem{}
		if err := json.NewDecoder(answer.Body).Decode(p); err != nil {
			return err
		}
		return p
	}
	if into == nil {
		into = &struct{}{}
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// verify has the daemon verify.
func (d *device) verify(r request) (v verification, err error) {
	return v, d.ask(http.MethodPost, "/verify", r, &v)
}

// mustVerify is verify where an outcome must come.
func (d *device) mustVerify(r request) verification {
	d.t.Helper()
	v, err := d.verify(r)
	if err != nil {
		d.t.Fatalf("POST /verify: %v", err)
	}
	return v
}

// health asks the daemon.
func (d *device) health() health {
	d.t.Helper()
	var h health
	if err := d.ask(http.MethodGet, "/health", nil, &h); err != nil {
		d.t.Fatalf("GET /health: %v", err)
	}
	return h
}

// stats counts the outbox by command, whether a daemon runs or not.
func (d *device) stats() stats {
	d.t.Helper()
	r := d.run("outbox", "stats", "--json")
	r.want(d.t, 0)
	return parse[stats](d.t, r.stdout)
}

// drained waits until the daemon has nothing left to deliver.
func (d *device) drained() {
	d.t.Helper()
	start := time.Now()
	await(d.t, "the outbox is empty", func() error {
		var s stats
		if err := d.ask(http.MethodGet, "/outbox/stats", nil, &s); err != nil {
			return err
		}
		if s.Queued+s.Pending+s.Quarantined > 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	d.t.Logf("the outbox was empty after %v", time.Since(start).Round(time.Millisecond))
}

// undialled reports whether a request never reached a daemon.
func undialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// parse reads JSON that must be one document and nothing else.
func parse[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("JSON %q: %v", text, err)
	}
	return value
}
