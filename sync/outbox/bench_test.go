package outbox_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

func settleAll(b *testing.B, box *outbox.Box) int {
	b.Helper()
	var acks []record.Acknowledgement
	for _, it := range allDue(b, box) {
		acks = append(acks, ack(it.Position, record.Stored))
	}
	return len(mustSettle(b, box, acks...).Removed)
}

// BenchmarkPut measures sign, seal and commit of a record of 2 KiB, one at a
// time as a kiosk does.
func BenchmarkPut(b *testing.B) {
	box := openBox(b, b.TempDir())
	defer closeBox(b, box)
	body := []byte(`{"pad":"` + strings.Repeat("x", 1200) + `"}`)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := box.Put(b.Context(), newRID(b), record.Verification, body); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		if len(took)%1000 == 0 {
			b.StopTimer()
			settleAll(b, box)
			b.StartTimer()
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkPutParallel measures puts that share commits.
func BenchmarkPutParallel(b *testing.B) {
	box := openBox(b, b.TempDir())
	defer closeBox(b, box)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := box.Put(b.Context(), newRID(b), record.Verification, []byte(`{}`)); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkDrain measures handing out and settling 256 records.
func BenchmarkDrain(b *testing.B) {
	box := openBox(b, b.TempDir())
	defer closeBox(b, box)
	n := 0
	for b.Loop() {
		b.StopTimer()
		for range 256 {
			mustPut(b, box, `{}`)
		}
		b.StartTimer()
		n += settleAll(b, box)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}
