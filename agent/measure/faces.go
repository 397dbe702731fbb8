package measure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models"
)

// ErrModel means that the examiner works with another model than the one whose
// operating point was given.
var ErrModel = errors.New("operating point belongs to another model")

// FacesOptions say how faces are measured. The zero value is ready to use.
type FacesOptions struct {
	// Workers describe pictures side by side; 0 means 1, at which alone the time
	// for a picture means something.
	Workers int
	// Progress, if any, is told how many pictures are described. It is called by
	// one goroutine at a time.
	Progress func(done, total int)
}

// FacesReport is how well faces are told apart.
type FacesReport struct {
	Pairs     int `json:"pairs"`
	Same      int `json:"same"`
	Different int `json:"different"`
	// FailureToAcquire counts the pictures in which no face was found.
	FailureToAcquire int `json:"failure_to_acquire"`
	// Accuracy is the share of pairs decided rightly at the best threshold for
	// these pairs, which is Threshold. A pair that could not be compared was not
	// decided rightly, whichever it is.
	Accuracy  Rate `json:"accuracy"`
	Threshold Rate `json:"threshold"`
	// FNMRAtFMR is the false non-match rate at thresholds chosen on these
	// impostors, by false match rate: "0.01" and "0.001".
	FNMRAtFMR map[string]Rate `json:"fnmr_at_fmr"`
	AUC       Rate            `json:"auc"`
	// AtOperatingPoint is what the threshold that ships gives on these pairs.
	AtOperatingPoint PointRates `json:"at_operating_point"`
	// Cohorts are the rates at that point by cohort, where the list names them.
	Cohorts map[string]CohortRates `json:"cohorts,omitempty"`
	// MSPerImage is the median time to decode and describe a picture.
	MSPerImage float64 `json:"ms_per_image"`
}

// PointRates are error rates at an operating point.
type PointRates struct {
	ID        string  `json:"id"`
	FMR       Rate    `json:"fmr"`
	FNMR      Rate    `json:"fnmr"`
	Threshold float64 `json:"threshold"`
}

// CohortRates are error rates among the pairs of one cohort.
type CohortRates struct {
	Same      int  `json:"same"`
	Different int  `json:"different"`
	FMR       Rate `json:"fmr"`
	FNMR      Rate `json:"fnmr"`
}

// Faces compares the pairs that a list names, at an operating point of encoder.
// The list is a CSV file with the columns same (1, 0, true, false), file_a,
// file_b and, where pairs are grouped, cohort; files are relative to its folder.
// Every picture is described once, by the examination that ships.
//
// A genuine pair with a picture in which no face was found counts as a
// non-match. An impostor pair of that kind was no comparison and is left out of
// the false match rate, which it could only flatter (ISO/IEC 19795-1).
func Faces(ctx context.Context, x *examine.Examiner, encoder models.Entry, point models.OperatingPoint, list string, o FacesOptions) (FacesReport, error) {
	pairs, err := readPairs(list)
	if err != nil {
		return FacesReport{}, err
	}
	g := gallery{examiner: x, encoder: encoder.SHA256, faces: map[string]*inference.Embedding{}}
	var files []string
	for _, p := range pairs {
		for _, f := range [2]string{p.a, p.b} {
			if _, known := g.faces[f]; !known {
				g.faces[f] = nil
				files = append(files, f)
			}
		}
	}
	if err := g.describe(ctx, files, o); err != nil {
		return FacesReport{}, err
	}
	for i, p := range pairs {
		pairs[i].score = math.NaN()
		if a, b := g.faces[p.a], g.faces[p.b]; a != nil && b != nil {
			pairs[i].score = inference.Compare(a, b)
		}
	}
	report := tally(pairs, point)
	for _, f := range files {
		if g.faces[f] == nil {
			report.FailureToAcquire++
		}
	}
	report.MSPerImage = milliseconds(percentile(g.took, 0.5))
	return report, nil
}

// pair is one comparison. Its score is NaN where a picture showed no face.
type pair struct {
	a, b   string
	same   bool
	cohort string
	score  float64
}

func readPairs(list string) ([]pair, error) {
	t, err := readTable(list, "same", "file_a", "file_b")
	if err != nil {
		return nil, err
	}
	pairs := make([]pair, len(t.rows))
	for i := range pairs {
		p := &pairs[i]
		switch strings.ToLower(t.value(i, "same")) {
		case "1", "true":
			p.same = true
		case "0", "false":
		default:
			return nil, t.fault(i, "same", "1", "0", "true", "false")
		}
		p.cohort = t.value(i, "cohort")
		if p.a, err = t.file(i, "file_a"); err != nil {
			return nil, err
		}
		if p.b, err = t.file(i, "file_b"); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// gallery describes pictures.
type gallery struct {
	examiner *examine.Examiner
	encoder  string // digest of the model that the operating point was measured for

	mu    sync.Mutex
	faces map[string]*inference.Embedding // nil where no face was found
	took  []time.Duration
}

func (g *gallery) describe(ctx context.Context, files []string, o FacesOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Workers, 1))
	for _, file := range files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			face, err := g.look(ctx, file)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.faces[file] = face
			g.took = append(g.took, time.Since(start))
			if o.Progress != nil {
				o.Progress(len(g.took), len(files))
			}
			return nil
		})
	}
	return group.Wait()
}

func (g *gallery) look(ctx context.Context, file string) (*inference.Embedding, error) {
	frame, err := capture.ReadImage(file, capture.Limits{Formats: capture.AllFormats()})
	if err != nil {
		return nil, err
	}
	seen, err := g.examiner.Examine(ctx, examine.Request{Probe: []*capture.Frame{frame}, Describe: true})
	if err != nil || seen.Probe == nil {
		return nil, err
	}
	if seen.Probe.Model != g.encoder {
		return nil, fmt.Errorf("%w: the examination uses %.12s, the point %.12s", ErrModel, seen.Probe.Model, g.encoder)
	}
	return &seen.Probe.Embedding, nil
}

// tally counts the errors of scored pairs.
func tally(pairs []pair, point models.OperatingPoint) FacesReport {
	all := scoresOf(pairs)
	right, threshold := best(all.genuine, all.impostors)
	report := FacesReport{
		Pairs: len(pairs), Same: all.same, Different: len(pairs) - all.same,
		Accuracy: share(right, len(pairs)), Threshold: Rate(threshold),
		FNMRAtFMR: map[string]Rate{
			"0.01":  all.fnmr(thresholdAt(all.impostors, 100)),
			"0.001": all.fnmr(thresholdAt(all.impostors, 1000)),
		},
		AUC: auc(all.withLost(), all.impostors),
		AtOperatingPoint: PointRates{
			ID: point.ID, Threshold: point.Threshold, FMR: all.fmr(point.Threshold), FNMR: all.fnmr(point.Threshold),
		},
	}
	cohorts := map[string][]pair{}
	for _, p := range pairs {
		if p.cohort != "" {
			cohorts[p.cohort] = append(cohorts[p.cohort], p)
		}
	}
	for name, members := range cohorts {
		if report.Cohorts == nil {
			report.Cohorts = map[string]CohortRates{}
		}
		s := scoresOf(members)
		report.Cohorts[name] = CohortRates{
			Same: s.same, Different: len(members) - s.same, FMR: s.fmr(point.Threshold), FNMR: s.fnmr(point.Threshold),
		}
	}
	return report
}

// scores are the comparisons of some pairs.
type scores struct {
	genuine, impostors []float64
	same               int // genuine pairs, compared or not
}

func scoresOf(pairs []pair) scores {
	var s scores
	for _, p := range pairs {
		if p.same {
			s.same++
		}
		switch {
		case math.IsNaN(p.score):
		case p.same:
			s.genuine = append(s.genuine, p.score)
		default:
			s.impostors = append(s.impostors, p.score)
		}
	}
	return s
}

// fmr is the share of impostors who pass.
func (s scores) fmr(threshold float64) Rate {
	return share(above(s.impostors, threshold), len(s.impostors))
}

// fnmr is the share of genuine pairs that do not pass; at a threshold that is
// no number it is unknown.
func (s scores) fnmr(threshold float64) Rate {
	if math.IsNaN(threshold) {
		return none()
	}
	return share(s.same-above(s.genuine, threshold), s.same)
}

// withLost are the genuine scores, with the lowest there is for each pair that
// could not be compared.
func (s scores) withLost() []float64 {
	all := append([]float64(nil), s.genuine...)
	for range s.same - len(s.genuine) {
		all = append(all, math.Inf(-1))
	}
	return all
}
