package examine_test

import (
	"testing"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
)

// BenchmarkSelfie is one selfie of 1920×1080 from the decoded frame to evidence.
func BenchmarkSelfie(b *testing.B) {
	x, p := examiner(b), photos(b)
	request := examine.Request{
		Checks: []verify.CheckName{verify.Quality, verify.FaceMatch, verify.Liveness},
		Probe:  []*capture.Frame{p.large},
	}
	found, err := x.Examine(b.Context(), examine.Request{Probe: request.Probe, Describe: true})
	if err != nil {
		b.Fatal(err)
	}
	request.Reference = found.Probe
	b.ReportAllocs()
	var inside, whole float64
	for b.Loop() {
		start := now()
		found, err := x.Examine(b.Context(), request)
		if err != nil {
			b.Fatal(err)
		}
		whole += since(start)
		inside += found.Run.Seconds()
	}
	b.ReportMetric(whole/inside, "overhead-ratio")
}
