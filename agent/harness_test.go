package agent

import (
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// until asks again and again, for half a minute at the most.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	beat, patience := time.NewTicker(5*time.Millisecond), time.NewTimer(30*time.Second)
	defer beat.Stop()
	defer patience.Stop()
	for !done() {
		select {
		case <-beat.C:
		case <-patience.C:
			t.Fatalf("waited 30 s: %s", what)
		}
	}
}

// settleAll acknowledges everything that waits, as a collector would.
func settleAll(t *testing.T, box *outbox.Box) {
	t.Helper()
	for {
		items, err := box.Due(t.Context(), time.Now(), 256, 256<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 0 {
			return
		}
		var acks []record.Acknowledgement
		for _, i := range items {
			acks = append(acks, record.Acknowledgement{Epoch: i.Epoch, Seq: i.Seq, Digest: i.Digest, Status: record.Stored})
		}
		if _, err := box.Settle(t.Context(), acks); err != nil {
			t.Fatal(err)
		}
	}
}
