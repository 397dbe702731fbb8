package measure

import (
	"io"
	"maps"
	"slices"
	"strings"
)

// Print writes the report for people.
func (r BenchReport) Print(w io.Writer) error {
	return page(w, func(t *text) {
		t.line("stage\tp50 ms\tp95 ms\tinside the runtime\tratio\truns")
		for _, name := range slices.Sorted(maps.Keys(r.Stages)) {
			s := r.Stages[name]
			t.line("%s\t%.2f\t%.2f\t%.2f\t%s\t%d", name, s.P50MS, s.P95MS, s.RunMS, s.OverheadRatio, s.N)
		}
		p, i := r.Pipeline, r.Instant
		t.line("selfie pipeline\t%.2f\t%.2f\t%.2f\t%s\t%d", p.P50MS, p.P95MS, p.RunMS, p.OverheadRatio, p.N)
		t.line("instant call\t%.2f\t%.2f\t%.2f\t%s\t%d", i.P50MS, i.P95MS, i.RunMS, i.OverheadRatio, i.N)
		t.line("")
		checks := make([]string, len(i.Checks))
		for k, c := range i.Checks {
			checks[k] = string(c)
		}
		t.line("checks of the instant call\t%s", strings.Join(checks, ", "))
		t.line("decoding\t%.2f ms a selfie, %.2f ms an instant call", p.DecodeMS, i.DecodeMS)
		t.line("detector and one embedding\t%.2f ms inside the runtime", r.DetectEmbedRunMS)
		t.line("Go memory a frame\t%d allocations, %d bytes", p.AllocsPerFrame, p.BytesPerFrame)
		t.line("start to ready\t%s ms, %s MiB", r.StartupMS, r.StartupRSSMiB)
		t.line("resident memory\t%s MiB, at most %s MiB", r.RSSMiB, r.PeakRSSMiB)
		t.line("measured with\ta %s face, ONNX Runtime %s, %d processors", r.Picture, r.Runtime, r.CPUs)
	})
}
