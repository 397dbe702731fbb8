package measure

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
)

// Labels of presentations.
const (
	labelLive        = "live"         // a person before a camera: bona fide
	labelSpoof       = "spoof"        // an attack; its species is in the column attack
	labelLiveDigital = "live_digital" // a person, but not before a camera on site
	labelMultiFace   = "multi_face"   // several persons
)

// PADOptions say how presentations are measured. The zero value is ready to use.
type PADOptions struct {
	// Items asks for every item in the report.
	Items bool
	// Progress, if any, is told how many items are examined.
	Progress func(done, total int)
}

// PADReport is how well presentation attacks are told from persons, in the terms
// of ISO/IEC 30107-3. Rates are never averaged over species.
type PADReport struct {
	BonaFide BonaFideRates           `json:"bona_fide"`
	Species  map[string]SpeciesRates `json:"species"`
	// Apart are presentations that count in no rate.
	Apart map[string]Accepted `json:"apart"`
	// AUC is over the bona fide probabilities of all items of which there are
	// any: those in which a face was found.
	AUC Rate `json:"auc"`
	// MSPerItem is the median time to examine an item from its decoded frames.
	MSPerItem      float64 `json:"ms_per_item"`
	OperatingPoint string  `json:"operating_point"`
	// Subjects counts errors by person where the list names them, because frames
	// of one person are near-duplicates.
	Subjects map[string]SubjectErrors `json:"subjects,omitempty"`
	Items    []PADItem                `json:"items,omitempty"`
}

// BonaFideRates are the errors among persons. BPCER is the share that was not
// accepted: taken for an attack, sent to a person, or not found to be a face.
type BonaFideRates struct {
	N           int  `json:"n"`
	BPCER       Rate `json:"bpcer"`
	NonResponse int  `json:"non_response"`
}

// SpeciesRates are the errors among attacks of one species. APCER is the share
// that was accepted; NonResponse counts those in which no face was found, which
// were not.
type SpeciesRates struct {
	N           int  `json:"n"`
	APCER       Rate `json:"apcer"`
	NonResponse int  `json:"non_response"`
}

// Accepted counts presentations and those that liveness accepted.
type Accepted struct {
	N        int `json:"n"`
	Accepted int `json:"accepted"`
}

// SubjectErrors counts the presentations of one person and those decided wrongly.
type SubjectErrors struct {
	BonaFide        int `json:"bona_fide"`
	BonaFideRefused int `json:"bona_fide_refused"`
	Attacks         int `json:"attacks"`
	AttacksAccepted int `json:"attacks_accepted"`
}

// PADItem is one presentation. The probabilities are medians over its frames and
// null where no face was found.
type PADItem struct {
	File     string        `json:"file"`
	Label    string        `json:"label"`
	Attack   string        `json:"attack,omitempty"`
	Subject  string        `json:"subject,omitempty"`
	Result   verify.Result `json:"result"`
	Frames   int           `json:"frames"` // in which a face was found
	Faces    int           `json:"faces"`
	BonaFide Rate          `json:"bona_fide"`
	Print    Rate          `json:"print"`
	Screen   Rate          `json:"screen"`
}

// PAD examines the images and videos that a list names and lets judge decide, as
// a verification does: accepted is what its liveness check finds true. The list is
// a CSV file with the columns file, label (live, spoof, live_digital, multi_face),
// attack (the species, of a spoof) and optionally subject; files are relative to
// its folder. Of a video seven frames, spread evenly, are examined together.
func PAD(ctx context.Context, x *examine.Examiner, judge verify.Judge, list string, o PADOptions) (PADReport, error) {
	items, paths, err := readPresentations(list)
	if err != nil {
		return PADReport{}, err
	}
	var took []time.Duration
	var point string
	for i := range items {
		if err := ctx.Err(); err != nil {
			return PADReport{}, err
		}
		frames, err := readProbe(ctx, paths[i])
		if err != nil {
			return PADReport{}, fmt.Errorf("%s: %w", items[i].File, err)
		}
		start := time.Now()
		seen, err := x.Examine(ctx, examine.Request{Checks: []verify.CheckName{verify.Liveness}, Probe: frames})
		if err != nil {
			return PADReport{}, fmt.Errorf("%s: %w", items[i].File, err)
		}
		check := liveness(judge, seen.Evidence)
		took = append(took, time.Since(start))
		point = cmp.Or(point, check.OperatingPoint)
		items[i].note(check, seen.Evidence.Liveness)
		if o.Progress != nil {
			o.Progress(i+1, len(items))
		}
	}
	report := count(items)
	report.MSPerItem, report.OperatingPoint = milliseconds(percentile(took, 0.5)), point
	if o.Items {
		report.Items = items
	}
	return report, nil
}

// liveness is the judged check; the zero Check, which passed nothing, where the
// judge gave none.
func liveness(judge verify.Judge, evidence verify.Evidence) verify.Check {
	request := verify.Request{Checks: []verify.CheckName{verify.Liveness}, Inputs: []verify.Input{verify.Selfie}}
	checks := judge.Checks(request, evidence)
	if i := slices.IndexFunc(checks, func(c verify.Check) bool { return c.Name == verify.Liveness }); i >= 0 {
		return checks[i]
	}
	return verify.Check{Name: verify.Liveness}
}

func (p *PADItem) note(check verify.Check, e *verify.LivenessEvidence) {
	p.Result, p.BonaFide, p.Print, p.Screen = check.Result, none(), none(), none()
	if e != nil {
		p.Frames, p.Faces = e.Frames, e.Faces
		p.BonaFide, p.Print, p.Screen = Rate(e.BonaFide), Rate(e.Print), Rate(e.Screen)
	}
}

// readPresentations reads a list and checks it whole, so that a fault shows
// before the first item is examined.
func readPresentations(list string) (items []PADItem, paths []string, err error) {
	t, err := readTable(list, "file", "label")
	if err != nil {
		return nil, nil, err
	}
	for i := range t.rows {
		item := PADItem{File: t.value(i, "file"), Label: t.value(i, "label"), Subject: t.value(i, "subject")}
		switch item.Label {
		case labelSpoof:
			if !t.has("attack") {
				return nil, nil, fmt.Errorf("%s: %w: attack, which names the species of a spoof", list, ErrColumn)
			}
			if item.Attack = t.value(i, "attack"); item.Attack == "" || item.Attack == "none" {
				return nil, nil, t.fault(i, "attack", "the name of a species")
			}
		case labelLive, labelLiveDigital, labelMultiFace:
		default:
			return nil, nil, t.fault(i, "label", labelLive, labelSpoof, labelLiveDigital, labelMultiFace)
		}
		path, err := t.file(i, "file")
		if err != nil {
			return nil, nil, err
		}
		items, paths = append(items, item), append(paths, path)
	}
	return items, paths, nil
}

// count tallies judged items.
func count(items []PADItem) PADReport {
	report := PADReport{
		Species: map[string]SpeciesRates{}, Subjects: map[string]SubjectErrors{},
		Apart: map[string]Accepted{labelLiveDigital: {}, labelMultiFace: {}},
	}
	refused := 0
	accepted := map[string]int{} // by species
	var bonaFide, attacks []float64
	for _, p := range items {
		passed, silent := p.Result == verify.True, p.Faces == 0
		person := report.Subjects[p.Subject]
		switch p.Label {
		case labelLive:
			report.BonaFide.N++
			person.BonaFide++
			if !passed {
				refused++
				person.BonaFideRefused++
			}
			if silent {
				report.BonaFide.NonResponse++
			}
			if p.BonaFide.known() {
				bonaFide = append(bonaFide, float64(p.BonaFide))
			}
		case labelSpoof:
			s := report.Species[p.Attack]
			s.N++
			person.Attacks++
			if passed {
				accepted[p.Attack]++
				person.AttacksAccepted++
			}
			if silent {
				s.NonResponse++
			}
			if p.BonaFide.known() {
				attacks = append(attacks, float64(p.BonaFide))
			}
			report.Species[p.Attack] = s
		default:
			a := report.Apart[p.Label]
			a.N++
			if passed {
				a.Accepted++
			}
			report.Apart[p.Label] = a
		}
		if p.Subject != "" {
			report.Subjects[p.Subject] = person
		}
	}
	report.BonaFide.BPCER = share(refused, report.BonaFide.N)
	for name, s := range report.Species {
		s.APCER = share(accepted[name], s.N)
		report.Species[name] = s
	}
	report.AUC = auc(bonaFide, attacks)
	return report
}
