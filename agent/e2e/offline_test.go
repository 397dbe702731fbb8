//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

func TestOutcomesMadeOfflineArriveOnceAndInOrder(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	random := seeded(t)
	centre := newCollector(t)
	d := newDevice(t, inAHurry+centre.uplink())
	centre.introduce(d)
	centre.kill()

	d.start()
	var shown []string
	verify := func() { shown = append(shown, d.mustVerify(request{Selfie: a.genuine}).ID) }
	const offline = 50
	for range offline {
		verify()
	}
	if s := d.health().Outbox; s.Queued != offline {
		t.Errorf("GET /health without a collector: %+v, want %d queued", s, offline)
	}
	start := time.Now()
	centre.start()
	await(t, "the first record arrives", func() error {
		all, err := centre.records()
		if err == nil && len(all) == 0 {
			return fmt.Errorf("none after %v", time.Since(start))
		}
		return err
	})
	t.Logf("the first record came %v after the collector", time.Since(start).Round(time.Millisecond))
	centre.kill()
	// In and out of reach while work goes on.
	for range 4 {
		verify()
		centre.start()
		verify()
		<-time.After(time.Duration(random.IntN(100)) * time.Millisecond)
		centre.kill()
	}
	centre.start()
	d.drained()
	arrived := centre.mustRecords()
	dense(t, arrived)
	if len(arrived) != len(shown) {
		t.Errorf("%d records at the collector, want the %d outcomes shown", len(arrived), len(shown))
	}
	for i, r := range arrived {
		if i < len(shown) && (r.Summary.Verification != shown[i] || r.Seq != uint64(i+1)) {
			t.Fatalf("arrival %d is seq %d, verification %s, want seq %d, %s", i+1, r.Seq, r.Summary.Verification, i+1, shown[i])
		}
	}
}
