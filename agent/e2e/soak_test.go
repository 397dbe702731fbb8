//go:build soak

package e2e

import (
	"testing"
	"time"
)

func TestSoakKilledDaemonLosesNoOutcomeThatWasShown(t *testing.T) {
	losesNothingShown(t, 10_000, 250)
}

// The daemon holds no more memory after thousands of verifications than after
// the first hundreds.
func TestSoakMemoryOfTheDaemonStaysFlat(t *testing.T) {
	a := pictures(t)
	centre := newCollector(t)
	d := newDevice(t, centre.uplink())
	centre.introduce(d)
	daemon := d.start()
	ask := request{Selfie: a.genuine, DocumentFront: a.front, DocumentBack: a.back}
	start := time.Now()
	settled := 0
	const verifications = 5000
	for i := range verifications {
		if v := d.mustVerify(ask); v.Status != "approved" {
			t.Fatalf("verification %d: %s %v, want approved", i+1, v.Status, v.Reasons)
		}
		if i == verifications/10 {
			settled = peak(t, daemon)
		}
	}
	took, most := time.Since(start), peak(t, daemon)
	t.Logf("%d verifications in %v, %v each; at most %d MiB after the first tenth, %d MiB after all",
		verifications, took.Round(time.Second), (took / verifications).Round(time.Millisecond), settled, most)
	if most > settled+settled/4 {
		t.Errorf("the daemon took up to %d MiB, %d after the first tenth: it grows", most, settled)
	}
	d.drained()
	dense(t, centre.mustRecords())
}
