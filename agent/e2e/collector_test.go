//go:build e2e || soak

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// collector is the centre: a process with its store.
type collector struct {
	t       *testing.T
	folder  string
	address string // host:port, the same after every start
	claim   string // file of the token
	*process
}

// newCollector starts a collector on a port that the system chooses.
func newCollector(t *testing.T) *collector {
	t.Helper()
	dir := folder(t)
	c := &collector{t: t, folder: dir, address: "127.0.0.1:0", claim: filepath.Join(dir, "claim")}
	if err := os.WriteFile(c.claim, []byte("claim-of-the-end-to-end-tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start()
	return c
}

// start starts the process, again on the same address, and waits until it serves.
func (c *collector) start() {
	c.t.Helper()
	log := filepath.Join(c.folder, "collector.log")
	_ = os.Remove(log) // the first time there is none
	c.process = begin(c.t, program(c.t), log, nil,
		"collector", "serve", "--store", filepath.Join(c.folder, "store"), "--listen", c.address, "--claims", c.claim)
	await(c.t, "the collector is ready", func() error {
		if c.ended() {
			c.t.Fatalf("the collector ended: %s", c.output(c.t))
		}
		for line := range strings.Lines(c.output(c.t)) {
			var ready struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &ready) == nil && ready.Msg == "collector ready" {
				c.address = ready.Address
				return nil
			}
		}
		return errors.New("it has not said so")
	})
}

// uplink is the configuration of a device that delivers here.
func (c *collector) uplink() string {
	return fmt.Sprintf("uplink:\n  url: http://%s\n  collector_keys: %s\n  spread: 0s\n", c.address, filepath.Join(c.folder, "keys.pem"))
}

// introduce makes the device known here; its configuration has the uplink.
func (c *collector) introduce(d *device) {
	c.t.Helper()
	d.run("keys", "enroll", "--claim", c.claim).want(c.t, 0)
}

// arrival is one record at the collector.
type arrival struct {
	Arrival uint64 `json:"arrival"`
	Epoch   uint32 `json:"epoch"`
	Seq     uint64 `json:"seq"`
	RID     string `json:"rid"`
	Kind    string `json:"kind"`
	Summary struct {
		Verification string   `json:"verification"`
		Status       string   `json:"status"`
		Reasons      []string `json:"reasons"`
	} `json:"summary"`
}

// records lists all that arrived, in that order.
func (c *collector) records() ([]arrival, error) {
	var all []arrival
	for after := uint64(0); ; after = all[len(all)-1].Arrival {
		answer, err := http.Get(fmt.Sprintf("http://%s/v1/records?after=%d&limit=1000", c.address, after))
		if err != nil {
			return nil, err
		}
		var page struct {
			Records []arrival `json:"records"`
		}
		err = json.NewDecoder(bufio.NewReader(answer.Body)).Decode(&page)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return nil, err
		}
		if answer.StatusCode != http.StatusOK {
			return nil, errors.New(answer.Status)
		}
		if len(page.Records) == 0 {
			return all, nil
		}
		all = append(all, page.Records...)
	}
}

// mustRecords is records of a collector that runs.
func (c *collector) mustRecords() []arrival {
	c.t.Helper()
	all, err := c.records()
	if err != nil {
		c.t.Fatalf("GET /v1/records: %v", err)
	}
	return all
}

// dense fails unless the records are those of one device, each once, with
// numbers from 1 without a gap in each epoch.
func dense(t *testing.T, records []arrival) {
	t.Helper()
	rids := map[string]bool{}
	last := map[uint32]uint64{}
	count := map[uint32]uint64{}
	for _, r := range records {
		if rids[r.RID] {
			t.Errorf("rid %s arrived twice", r.RID)
		}
		rids[r.RID] = true
		last[r.Epoch] = max(last[r.Epoch], r.Seq)
		count[r.Epoch]++
	}
	next := uint64(1)
	for epoch := uint32(1); int(epoch) <= len(last); epoch++ {
		if last[epoch] != next+count[epoch]-1 {
			t.Errorf("epoch %d: %d records up to seq %d, want them dense from %d", epoch, count[epoch], last[epoch], next)
		}
		next = last[epoch] + 1
	}
}
