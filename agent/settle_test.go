package agent

import (
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

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
