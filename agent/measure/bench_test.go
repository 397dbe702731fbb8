package measure

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
)

// readyEnv makes this test binary the fresh process that is launched.
const readyEnv = "EDGEVERIFY_TEST_READY"

func TestBenchTimesEveryStageAndAFreshStart(t *testing.T) {
	e := engine(t)
	if os.Getenv(readyEnv) != "" {
		if err := Ready(t.Context(), examine.New(e), os.Stdout); err != nil {
			t.Fatal(err)
		}
		return
	}
	parts := 0
	r, err := Bench(t.Context(), e, examine.New(e), shippedJudge(t), BenchOptions{
		Runs:     3,
		Progress: func(int, int) { parts++ },
		Launch: func(ctx context.Context) (Startup, error) {
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$")
			cmd.Env = append(os.Environ(), readyEnv+"=1")
			return Launch(cmd)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"decode", "detect", "refine", "quality", "encode", "pad", "pose", "landmarks"} {
		s, known := r.Stages[name]
		if !known || s.N != 3 || !(s.P50MS > 0) || s.P95MS < s.P50MS {
			t.Errorf("stage %s: got %+v, want three runs with times", name, s)
		}
		if model := name != "decode" && name != "quality"; model && !(s.OverheadRatio > 1 && s.RunMS > 0) || !model && s.OverheadRatio.known() {
			t.Errorf("stage %s: got %v ms inside the runtime and ratio %v", name, s.RunMS, s.OverheadRatio)
		}
	}
	if p := r.Pipeline; !(p.OverheadRatio > 1) || !(p.P50MS > p.RunMS) || !(p.DecodeMS > 0) || p.AllocsPerFrame <= 0 || p.BytesPerFrame <= 0 {
		t.Errorf("pipeline: got %+v, want a ratio above 1 and allocations", p)
	}
	if i := r.Instant; !(i.OverheadRatio > 1) || !(i.P50MS > i.DecodeMS) || !slices.Contains(i.Checks, verify.FaceMatch) {
		t.Errorf("instant: got %+v, want a ratio above 1 and face_match among the checks", i)
	}
	if !(r.StartupMS > 0 && r.StartupRSSMiB > 1 && r.RSSMiB > 1 && r.PeakRSSMiB >= 1) {
		t.Errorf("process: got start %v ms, %v, %v, %v MiB", r.StartupMS, r.StartupRSSMiB, r.RSSMiB, r.PeakRSSMiB)
	}
	if parts != len(r.Stages)+3 || r.Picture != "drawn" {
		t.Errorf("got %d parts and picture %q, want %d and drawn", parts, r.Picture, len(r.Stages)+3)
	}
}

func TestTheDrawnFaceIsExaminedAsAPhotoIs(t *testing.T) {
	e := engine(t)
	p, err := compose(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	request, err := (&bench{pictures: p}).upload()
	if err != nil {
		t.Fatal(err)
	}
	request.Checks = []verify.CheckName{verify.Quality, verify.FaceMatch, verify.Liveness}
	seen, err := examine.New(e).Examine(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	// Both faces must have been found, or the networks behind were not timed.
	m := seen.Evidence.FaceMatch
	if m == nil || m.ProbeFaces != 1 || m.ReferenceFaces != 1 || m.Score < 0.6 || seen.Evidence.Liveness.Frames != 1 {
		t.Errorf("instant call: got probe %d, reference %d faces, %d frames of liveness, want one each and one person", m.ProbeFaces, m.ReferenceFaces, seen.Evidence.Liveness.Frames)
	}
}

func TestAPictureWithoutAFaceIsRefused(t *testing.T) {
	data, err := encoded(blank())
	if err != nil {
		t.Fatal(err)
	}
	e := engine(t)
	if _, err := Bench(t.Context(), e, examine.New(e), verify.Judge{}, BenchOptions{Selfie: data}); !errors.Is(err, ErrNoFace) {
		t.Errorf("Bench with a picture of a wall: got %v, want %v", err, ErrNoFace)
	}
}

func TestALaunchThatNeverGetsReadyIsAnError(t *testing.T) {
	for _, script := range []string{"exit 0", "echo '{}'; exit 3", "echo hello"} {
		if s, err := Launch(exec.CommandContext(t.Context(), "sh", "-c", script)); err == nil {
			t.Errorf("Launch(%q): got %+v, want an error", script, s)
		}
	}
}

func TestRatiosAreOfTheSameRun(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	samples := []sample{{whole: ms(12), run: ms(10)}, {whole: ms(120), run: ms(100)}, {whole: ms(30), run: ms(10)}}
	if got := overhead(samples); got != 1.2 {
		t.Errorf("overhead: got %v, want 1.2, the median of 1.2, 1.2 and 3", got)
	}
	if got := overhead([]sample{{whole: ms(3)}}); got.known() {
		t.Errorf("overhead without a run: got %v, want none", got)
	}
}

func TestMemoryIsReadFromStatus(t *testing.T) {
	status := "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	if now, peak := statusMiB(status, "VmRSS:"), statusMiB(status, "VmHWM:"); now != 1 || peak != 2 {
		t.Errorf("statusMiB: got %v and %v, want 1 and 2", now, peak)
	}
	if got := statusMiB("VmRSS:\tmuch\n", "VmRSS:"); got.known() {
		t.Errorf("statusMiB of a word: got %v, want none", got)
	}
}

func TestBenchReportIsTheContract(t *testing.T) {
	golden(t, "bench.json", BenchReport{
		Stages:   map[string]StageTimes{"decode": {N: 100, P50MS: 10.5, P95MS: 12, OverheadRatio: none()}},
		Pipeline: PipelineTimes{N: 100, P50MS: 33, P95MS: 35, RunMS: 30, DecodeMS: 10.5, OverheadRatio: 1.125, AllocsPerFrame: 40, BytesPerFrame: 4096, Decision: "approved"},
		Instant: InstantTimes{N: 100, P50MS: 90, P95MS: 99, RunMS: 50, DecodeMS: 30, OverheadRatio: 1.25, Decision: "approved",
			Checks: []verify.CheckName{verify.Quality, verify.FaceMatch, verify.Liveness}},
		DetectEmbedRunMS: 12, StartupMS: none(), StartupRSSMiB: none(), RSSMiB: 128, PeakRSSMiB: 160,
		Picture: "drawn", Runtime: "1.30.0", CPUs: 2,
	})
}

func TestTheBenchReportPrintsWhatMatters(t *testing.T) {
	var out strings.Builder
	if err := (BenchReport{Stages: map[string]StageTimes{"detect": {N: 100}}, StartupMS: none()}).Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"detect", "selfie pipeline", "instant call", "– ms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("Print: %q is missing in\n%s", want, out.String())
		}
	}
}
