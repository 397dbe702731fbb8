//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// stopLimit is ten times what a stop may take.
const stopLimit = 20 * time.Second

// answered is the end of a request.
type answered struct {
	verification verification
	err          error
}

func TestStoppedDaemonShowsAndRecordsOrNeither(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	random := seeded(t)
	d := newDevice(t, "")
	shown, slowest := 0, time.Duration(0)
	for range 8 {
		daemon := d.start()
		end := make(chan answered, 1)
		go func() {
			v, err := d.verify(request{Selfie: a.genuine, DocumentFront: a.front, DocumentBack: a.back})
			end <- answered{v, err}
		}()
		<-time.After(time.Duration(random.IntN(250)) * time.Millisecond)
		code, took := daemon.stop(t)
		if code != 0 || took > stopLimit {
			t.Errorf("SIGTERM: exit %d after %v, want 0 within 2 s (limit %v)", code, took, stopLimit)
		}
		slowest = max(slowest, took)
		if e := <-end; e.err == nil {
			shown++
		}
	}
	if s := d.stats(); s.Queued != shown || s.Pending != 0 {
		t.Errorf("outbox stats: %+v, want the %d outcomes that were shown and no other", s, shown)
	}
	t.Logf("%d of 8 verifications in progress were shown; the slowest stop took %v", shown, slowest.Round(time.Millisecond))
}

func TestDaemonStopsInFrontOfASilentCamera(t *testing.T) {
	t.Parallel()
	camera := newCamera(t, still(pictures(t).genuine), 1)
	d := newDevice(t, inAHurry)
	daemon := d.start()
	end := make(chan answered, 1)
	go func() {
		v, err := d.verify(request{Camera: camera.URL})
		end <- answered{v, err}
	}()
	<-camera.silent
	code, took := daemon.stop(t)
	if code != 0 || took > stopLimit {
		t.Errorf("SIGTERM: exit %d after %v, want 0 within 2 s (limit %v)", code, took, stopLimit)
	}
	e := <-end
	if e.err == nil && e.verification.Status != "error" {
		t.Errorf("POST /verify: %+v, want no outcome, or status error", e.verification)
	}
	recorded := 0
	if e.err == nil {
		recorded = 1
	}
	if s := d.stats(); s.Queued != recorded || s.Pending != 0 {
		t.Errorf("outbox stats: %+v, want %d queued", s, recorded)
	}
	t.Logf("the stop took %v; the request ended with %q, %v", took.Round(time.Millisecond), e.verification.Status, e.err)
}
