package measure

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Print writes the report for people.
func (r FacesReport) Print(w io.Writer) error {
	return page(w, func(t *text) {
		t.line("pairs\t%d (%d same, %d different)", r.Pairs, r.Same, r.Different)
		t.line("pictures without a face\t%d", r.FailureToAcquire)
		t.line("accuracy\t%s at threshold %s", r.Accuracy.percent(), r.Threshold)
		for _, rate := range slices.Backward(slices.Sorted(maps.Keys(r.FNMRAtFMR))) {
			t.line("FNMR at FMR %s\t%s", rate, r.FNMRAtFMR[rate].percent())
		}
		t.line("AUC\t%s", r.AUC)
		p := r.AtOperatingPoint
		t.line("at %s (%.3f)\tFMR %s, FNMR %s", p.ID, p.Threshold, p.FMR.percent(), p.FNMR.percent())
		t.line("time a picture\t%.1f ms", r.MSPerImage)
		if len(r.Cohorts) == 0 {
			return
		}
		t.line("")
		t.line("cohort\tsame\tdifferent\tFMR\tFNMR")
		worst := r.worstCohort()
		for _, name := range slices.Sorted(maps.Keys(r.Cohorts)) {
			c, mark := r.Cohorts[name], ""
			if name == worst {
				mark = "\tworst FMR"
			}
			t.line("%s\t%d\t%d\t%s\t%s%s", name, c.Same, c.Different, c.FMR.percent(), c.FNMR.percent(), mark)
		}
	})
}

// worstCohort is the cohort with the highest false match rate above zero, or empty.
func (r FacesReport) worstCohort() string {
	worst, highest := "", Rate(0)
	for _, name := range slices.Sorted(maps.Keys(r.Cohorts)) {
		if rate := r.Cohorts[name].FMR; rate > highest {
			worst, highest = name, rate
		}
	}
	return worst
}

// Print writes the report for people.
func (r PADReport) Print(w io.Writer) error {
	return page(w, func(t *text) {
		t.line("bona fide\tn %d\tBPCER %s\tno face %d", r.BonaFide.N, r.BonaFide.BPCER.percent(), r.BonaFide.NonResponse)
		for _, name := range slices.Sorted(maps.Keys(r.Species)) {
			s := r.Species[name]
			t.line("%s\tn %d\tAPCER %s\tno face %d", name, s.N, s.APCER.percent(), s.NonResponse)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Apart)) {
			if a := r.Apart[name]; a.N > 0 {
				t.line("%s (in no rate)\tn %d\taccepted %d", name, a.N, a.Accepted)
			}
		}
		t.line("AUC\t%s", r.AUC)
		t.line("operating point\t%s", r.OperatingPoint)
		t.line("time an item\t%.1f ms", r.MSPerItem)
		if len(r.Subjects) > 0 {
			t.line("")
			t.line("subject\tbona fide refused\tattacks accepted")
			for _, name := range slices.Sorted(maps.Keys(r.Subjects)) {
				s := r.Subjects[name]
				t.line("%s\t%d of %d\t%d of %d", name, s.BonaFideRefused, s.BonaFide, s.AttacksAccepted, s.Attacks)
			}
		}
		if len(r.Items) > 0 {
			t.line("")
			t.line("bona fide\tprint\tscreen\tframes\tfaces\tresult\tlabel\tattack\tfile")
			for _, p := range r.Items {
				t.line("%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s",
					p.BonaFide, p.Print, p.Screen, p.Frames, p.Faces, p.Result, p.Label, p.Attack, p.File)
			}
		}
	})
}

// text collects lines of columns separated by tabs.
type text struct {
	tab *tabwriter.Writer
	err error
}

func (t *text) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.tab, format+"\n", args...)
	}
}

// page aligns the columns of what fill writes.
func page(w io.Writer, fill func(*text)) error {
	t := text{tab: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fill(&t)
	if t.err != nil {
		return t.err
	}
	return t.tab.Flush()
}
