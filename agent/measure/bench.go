package measure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
)

// How often everything is run at the least, and before that unmeasured.
const (
	defaultRuns = 100
	warmUp      = 10
	allocRuns   = 20
	launches    = 5
)

// views is how often the encoder runs to describe one face: on it and on its
// mirror image.
const views = 2

// BenchOptions say what is timed. The zero value is ready to use.
type BenchOptions struct {
	// Runs of each stage and of each whole verification; 0 means 100. Percentiles
	// of fewer say little.
	Runs int
	// Selfie is an image file with the face to work on; nil means a drawn one.
	Selfie []byte
	// Launch starts a fresh process and returns when it is ready, as the function
	// Launch does; nil leaves the start unmeasured.
	Launch func(context.Context) (Startup, error)
	// Progress, if any, is told how many of the parts are measured.
	Progress func(done, total int)
}

// BenchReport is how long verification takes on this machine.
type BenchReport struct {
	Stages   map[string]StageTimes `json:"stages"`
	Pipeline PipelineTimes         `json:"pipeline"`
	Instant  InstantTimes          `json:"instant"`
	// DetectEmbedRunMS is the time inside the runtime of one look of the detector
	// and one embedding.
	DetectEmbedRunMS float64 `json:"detect_embed_run_ms"`
	// StartupMS is the median time from starting a process to its first finished
	// examination, and StartupRSSMiB its memory then; null where not measured.
	StartupMS     Rate `json:"startup_ms"`
	StartupRSSMiB Rate `json:"startup_rss_mib"`
	// RSSMiB and PeakRSSMiB are this process's resident memory after the runs and
	// at most during them; null where the kernel does not tell.
	RSSMiB     Rate   `json:"rss_mib"`
	PeakRSSMiB Rate   `json:"peak_rss_mib"`
	Picture    string `json:"picture"` // drawn or given
	Runtime    string `json:"runtime"` // version of ONNX Runtime
	CPUs       int    `json:"cpus"`
}

// StageTimes are the times of one stage. RunMS is the median inside ONNX Runtime
// alone, and OverheadRatio the median over the runs of the whole over that; null
// for a stage without a model.
type StageTimes struct {
	N             int     `json:"n"`
	P50MS         float64 `json:"p50_ms"`
	P95MS         float64 `json:"p95_ms"`
	RunMS         float64 `json:"run_ms"`
	OverheadRatio Rate    `json:"overhead_ratio"`
}

// PipelineTimes are those of a selfie compared with a known face: quality,
// face_match and liveness from the decoded frame to the decision. OverheadRatio
// is the median over the runs of that time over the time inside ONNX Runtime on
// the longest chain of stages. DecodeMS is not part of it.
type PipelineTimes struct {
	N             int     `json:"n"`
	P50MS         float64 `json:"p50_ms"`
	P95MS         float64 `json:"p95_ms"`
	RunMS         float64 `json:"run_ms"`
	DecodeMS      float64 `json:"decode_ms"`
	OverheadRatio Rate    `json:"overhead_ratio"`
	// Allocations and bytes of Go memory that one frame costs.
	AllocsPerFrame int64  `json:"allocs_per_frame"`
	BytesPerFrame  int64  `json:"bytes_per_frame"`
	Decision       string `json:"decision"`
}

// InstantTimes are those of one call with front and back of a document and a
// selfie, each a JPEG of 1920×1080, from the files' bytes to the decision.
// OverheadRatio leaves DecodeMS, the decoding of all three, out of both sides.
type InstantTimes struct {
	N             int                `json:"n"`
	P50MS         float64            `json:"p50_ms"`
	P95MS         float64            `json:"p95_ms"`
	RunMS         float64            `json:"run_ms"`
	DecodeMS      float64            `json:"decode_ms"`
	OverheadRatio Rate               `json:"overhead_ratio"`
	Checks        []verify.CheckName `json:"checks"` // that ran
	Decision      string             `json:"decision"`
}

// Bench times the stages of a verification, whole ones, and the start. The
// examiner works over the models of engine. The judge decides as it does in a
// verification; what it decides does not matter here.
// ErrNoFace and capture.ErrImage speak of Selfie.
func Bench(ctx context.Context, engine *inference.Engine, x *examine.Examiner, judge verify.Judge, o BenchOptions) (BenchReport, error) {
	if o.Runs <= 0 {
		o.Runs = defaultRuns
	}
	b := bench{engine: engine, examiner: x, judge: judge, options: o}
	report := BenchReport{
		Stages: map[string]StageTimes{}, Picture: "drawn", Runtime: engine.RuntimeVersion(), CPUs: runtime.NumCPU(),
		StartupMS: none(), StartupRSSMiB: none(),
	}
	if o.Selfie != nil {
		report.Picture = "given"
	}
	var err error
	if b.pictures, err = compose(engine, o.Selfie); err != nil {
		return BenchReport{}, fmt.Errorf("bench: %w", err)
	}
	forgetPeak()
	stages, err := b.stages()
	if err != nil {
		return BenchReport{}, fmt.Errorf("bench: %w", err)
	}
	done, total := 0, len(stages)+3
	part := func(name string, measure func() error) error {
		if err := measure(); err != nil {
			return fmt.Errorf("bench: %s: %w", name, err)
		}
		if done++; o.Progress != nil {
			o.Progress(done, total)
		}
		return nil
	}
	for _, s := range stages {
		if err := part(s.name, func() (err error) { report.Stages[s.name], err = b.time(ctx, s); return err }); err != nil {
			return BenchReport{}, err
		}
	}
	err = errors.Join(
		part("pipeline", func() (err error) { report.Pipeline, err = b.pipeline(ctx); return err }),
		part("instant", func() (err error) { report.Instant, err = b.instant(ctx); return err }),
		part("start", func() (err error) { report.StartupMS, report.StartupRSSMiB, err = b.start(ctx); return err }),
	)
	if err != nil {
		return BenchReport{}, err
	}
	report.DetectEmbedRunMS = report.Stages["detect"].RunMS + report.Stages["encode"].RunMS/views
	report.RSSMiB, report.PeakRSSMiB = residentMemory()
	return report, nil
}

// bench is one Bench in progress.
type bench struct {
	engine   *inference.Engine
	examiner *examine.Examiner
	judge    verify.Judge
	options  BenchOptions
	pictures pictures
}

// sample is one measured run.
type sample struct{ whole, run, decode time.Duration }

// repeat runs something unmeasured, then as often as asked, and collects the runs.
func (b *bench) repeat(ctx context.Context, run func() (sample, error)) ([]sample, error) {
	ahead := min(warmUp, b.options.Runs)
	samples := make([]sample, 0, b.options.Runs)
	for i := range ahead + b.options.Runs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := run()
		if err != nil {
			return nil, err
		}
		if i >= ahead {
			samples = append(samples, s)
		}
	}
	return samples, nil
}

// pipeline times a selfie against a reference.
func (b *bench) pipeline(ctx context.Context) (PipelineTimes, error) {
	frame, err := capture.Decode(b.pictures.selfie, capture.Limits{})
	if err != nil {
		return PipelineTimes{}, err
	}
	described, err := b.examiner.Examine(ctx, examine.Request{Probe: []*capture.Frame{frame}, Describe: true})
	if err != nil {
		return PipelineTimes{}, err
	}
	if described.Probe == nil {
		return PipelineTimes{}, ErrNoFace
	}
	asked := verify.Request{
		Checks: []verify.CheckName{verify.Quality, verify.FaceMatch, verify.Liveness},
		Inputs: []verify.Input{verify.Selfie, verify.AccountReferenceInput},
	}
	var decision verify.Decision
	once := func(frame *capture.Frame) (time.Duration, error) {
		found, err := b.examiner.Examine(ctx, examine.Request{
			Checks: asked.Checks, Probe: []*capture.Frame{frame}, Reference: described.Probe,
		})
		if err != nil {
			return 0, err
		}
		decision = verify.Decide(b.judge.Policy, asked, b.judge.Checks(asked, found.Evidence))
		return found.Run, nil
	}
	samples, err := b.repeat(ctx, func() (s sample, err error) {
		start := time.Now()
		frame, err := capture.Decode(b.pictures.selfie, capture.Limits{})
		if err != nil {
			return s, err
		}
		decoded := time.Now()
		s.decode = decoded.Sub(start)
		s.run, err = once(frame)
		s.whole = time.Since(decoded)
		return s, err
	})
	if err != nil {
		return PipelineTimes{}, err
	}
	out := PipelineTimes{
		N: len(samples), P50MS: wholeMS(samples, 0.5), P95MS: wholeMS(samples, 0.95),
		RunMS: runMS(samples), DecodeMS: decodeMS(samples), OverheadRatio: overhead(samples), Decision: string(decision.Status),
	}
	out.AllocsPerFrame, out.BytesPerFrame, err = allocations(func() error {
		_, err := once(frame)
		return err
	})
	return out, err
}

// instant times one call with uploaded images.
func (b *bench) instant(ctx context.Context) (InstantTimes, error) {
	given := verify.Request{Inputs: []verify.Input{verify.Selfie, verify.DocumentFront, verify.DocumentBack}}
	checks := verify.Requested(b.judge.Policy, given, b.judge.Runnable())
	var decision verify.Decision
	samples, err := b.repeat(ctx, func() (s sample, err error) {
		start := time.Now()
		request, err := b.upload()
		if err != nil {
			return s, err
		}
		decoded := time.Now()
		request.Checks = checks
		found, err := b.examiner.Examine(ctx, request)
		if err != nil {
			return s, err
		}
		decision = verify.Decide(b.judge.Policy, given, b.judge.Checks(given, found.Evidence))
		s.whole, s.decode, s.run = time.Since(decoded), decoded.Sub(start), found.Run
		return s, nil
	})
	if err != nil {
		return InstantTimes{}, err
	}
	out := InstantTimes{
		N: len(samples), RunMS: runMS(samples), DecodeMS: decodeMS(samples), OverheadRatio: overhead(samples),
		Checks: checks, Decision: string(decision.Status),
	}
	for i := range samples {
		samples[i].whole += samples[i].decode
	}
	out.P50MS, out.P95MS = wholeMS(samples, 0.5), wholeMS(samples, 0.95)
	return out, nil
}

// upload decodes what an instant call brings, one after the other as the device does.
func (b *bench) upload() (examine.Request, error) {
	var frames [3]*capture.Frame
	for i, file := range [3][]byte{b.pictures.front, b.pictures.back, b.pictures.selfie} {
		var err error
		if frames[i], err = capture.Decode(file, capture.Limits{}); err != nil {
			return examine.Request{}, err
		}
	}
	return examine.Request{DocumentFront: frames[0], DocumentBack: frames[1], Probe: frames[2:]}, nil
}

func wholeMS(samples []sample, p float64) float64 {
	return percentileMS(samples, p, func(s sample) time.Duration { return s.whole })
}

func runMS(samples []sample) float64 {
	return percentileMS(samples, 0.5, func(s sample) time.Duration { return s.run })
}

func decodeMS(samples []sample) float64 {
	return percentileMS(samples, 0.5, func(s sample) time.Duration { return s.decode })
}

func percentileMS(samples []sample, p float64, of func(sample) time.Duration) float64 {
	values := make([]time.Duration, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return milliseconds(percentile(values, p))
}

// overhead is the median of whole over run, each of the same run, so that a
// machine that is busy for a while weighs on both sides.
func overhead(samples []sample) Rate {
	var ratios []float64
	for _, s := range samples {
		if s.run > 0 {
			ratios = append(ratios, float64(s.whole)/float64(s.run))
		}
	}
	if len(ratios) == 0 {
		return none()
	}
	return Rate(percentile(ratios, 0.5))
}
