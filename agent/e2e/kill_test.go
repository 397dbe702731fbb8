//go:build e2e || soak

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// inAHurry is a policy whose verifications are quick: no document is read.
const inAHurry = "policy:\n  least: [quality, liveness]\n"

// clerks verify one person after another and note every outcome they were
// shown. A daemon that is gone is asked again.
type clerks struct {
	d    *device
	ask  request
	done chan struct{}
	wait sync.WaitGroup

	mu      sync.Mutex
	shown   map[string]string // verification → status
	twice   []string
	aborted int // requests that reached a daemon and got no answer
	refused []error
}

// hire sets n clerks to work.
func hire(d *device, ask request, n int) *clerks {
	c := &clerks{d: d, ask: ask, done: make(chan struct{}), shown: map[string]string{}}
	for range n {
		c.wait.Go(c.work)
	}
	return c
}

func (c *clerks) work() {
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		v, err := c.d.verify(c.ask)
		c.note(v, err)
		if err == nil {
			select {
			case <-c.done:
				return
			default:
				continue
			}
		}
		select {
		case <-c.done:
			return
		case <-pause.C:
		}
	}
}

func (c *clerks) note(v verification, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var refusal *problem
	switch {
	case errors.As(err, &refusal):
		c.refused = append(c.refused, err)
	case undialled(err):
	case err != nil:
		c.aborted++
	default:
		if _, known := c.shown[v.ID]; known {
			c.twice = append(c.twice, v.ID)
		}
		c.shown[v.ID] = v.Status
	}
}

func (c *clerks) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.shown)
}

// rest lets them finish what they are at.
func (c *clerks) rest() {
	close(c.done)
	c.wait.Wait()
}

// losesNothingShown kills the daemon at random moments until outcomes were
// shown, and then counts both sides.
func losesNothingShown(t *testing.T, outcomes, kills int) {
	a := pictures(t)
	random := seeded(t)
	centre := newCollector(t)
	d := newDevice(t, inAHurry+centre.uplink())
	centre.introduce(d)

	start := time.Now()
	c := hire(d, request{Selfie: a.genuine}, 2)
	killed := 0
	for ; c.count() < outcomes || killed < kills; killed++ {
		killSoon(t, random, d, c, outcomes/(kills+kills/4))
	}
	daemon := d.start()
	c.rest()
	daemon.kill()
	killed++
	took := time.Since(start)
	for _, id := range c.twice {
		t.Errorf("verification %s was given twice", id)
	}
	for _, err := range c.refused {
		t.Errorf("POST /verify: %v, want an outcome", err)
	}

	// Nobody delivers now: what was shown is there or here.
	d.configure(inAHurry)
	daemon = d.start()
	waiting := queued(d)
	daemon.stop(t)
	there := map[string]bool{}
	for _, r := range centre.mustRecords() {
		there[r.Summary.Verification] = true
	}
	for id := range c.shown {
		if !waiting[id] && !there[id] {
			t.Errorf("verification %s was shown and is neither in the outbox nor at the collector", id)
		}
	}

	d.configure(inAHurry + centre.uplink())
	d.start()
	d.drained()
	all := centre.mustRecords()
	unseen := accountFor(t, d, c, all)
	t.Logf("%d kills in %v: %d outcomes shown, %d requests cut off, of which %d had been recorded; %d records at the collector, %d of them before the last start, %d then in the outbox",
		killed, took.Round(time.Second), len(c.shown), c.aborted, unseen, len(all), len(there), len(waiting))
}

// killSoon starts the daemon and kills it after up to 2n more outcomes, at any
// point of a verification; every fifth time while it still starts.
func killSoon(t *testing.T, random *rand.Rand, d *device, c *clerks, n int) {
	t.Helper()
	daemon := d.begin()
	moment := time.Duration(random.IntN(120)) * time.Millisecond
	if random.IntN(5) == 0 {
		moment *= 10
	} else {
		d.ready(daemon)
		enough := c.count() + random.IntN(2*n+1)
		await(t, "outcomes are shown", func() error {
			if have := c.count(); have < enough {
				return fmt.Errorf("%d, want %d", have, enough)
			}
			return nil
		})
	}
	select {
	case <-time.After(moment):
	case <-daemon.done:
		t.Fatalf("the daemon ended by itself: %s", tail(daemon.output(t)))
	}
	daemon.kill()
}

// queued lists the verifications whose records wait in the outbox.
func queued(d *device) map[string]bool {
	d.t.Helper()
	out := map[string]bool{}
	for after := uint64(0); ; {
		var page []struct {
			Seq uint64 `json:"seq"`
		}
		if err := d.ask(http.MethodGet, fmt.Sprintf("/outbox?after=%d", after), nil, &page); err != nil {
			d.t.Fatalf("GET /outbox: %v", err)
		}
		if len(page) == 0 {
			return out
		}
		for _, e := range page {
			var record struct {
				Payload struct {
					Body struct {
						Verification string `json:"verification"`
					} `json:"body"`
				} `json:"payload"`
			}
			if err := d.ask(http.MethodGet, fmt.Sprintf("/outbox/%d", e.Seq), nil, &record); err != nil {
				d.t.Fatalf("GET /outbox/%d: %v", e.Seq, err)
			}
			id := record.Payload.Body.Verification
			if out[id] {
				d.t.Errorf("verification %s is queued twice", id)
			}
			out[id] = true
			after = e.Seq
		}
	}
}

// accountFor matches what arrived with what was shown, both ways, and returns
// how many records belong to requests that were cut off.
func accountFor(t *testing.T, d *device, c *clerks, all []arrival) (unseen int) {
	t.Helper()
	dense(t, all)
	arrived := map[string]bool{}
	for _, r := range all {
		id := r.Summary.Verification
		if arrived[id] {
			t.Errorf("verification %s arrived twice", id)
		}
		arrived[id] = true
		status, shown := c.shown[id]
		if shown && status != r.Summary.Status {
			t.Errorf("verification %s was shown %s and recorded %s", id, status, r.Summary.Status)
		}
		if !shown {
			unseen++
		}
		var kept verification
		if err := d.ask(http.MethodGet, "/verification/"+id, nil, &kept); err != nil || kept.Status != r.Summary.Status {
			t.Errorf("GET /verification/%s: %s, %v, want %s as at the collector", id, kept.Status, err, r.Summary.Status)
		}
	}
	for id := range c.shown {
		if !arrived[id] {
			t.Errorf("verification %s was shown and never arrived", id)
		}
	}
	if unseen > c.aborted {
		t.Errorf("%d records belong to no outcome shown, but only %d requests were cut off", unseen, c.aborted)
	}
	return unseen
}
