package verify

import (
	"slices"
	"strings"
)

// A Verdict is what is known about the claimed identity. It follows the status:
// approved is true, rejected is false, anything else is unknown.
type Verdict uint8

// The three verdicts; the zero value is VerdictUnknown.
const (
	VerdictUnknown Verdict = iota
	VerdictFalse
	VerdictTrue
)

// String returns unknown, false or true.
func (v Verdict) String() string {
	switch v {
	case VerdictFalse:
		return "false"
	case VerdictTrue:
		return "true"
	}
	return "unknown"
}

// MarshalText makes the verdict a JSON string, never a JSON boolean, because it
// has three values.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// VerdictOf returns the verdict that goes with a status.
func VerdictOf(status Status) Verdict {
	switch status {
	case Approved:
		return VerdictTrue
	case Rejected:
		return VerdictFalse
	}
	return VerdictUnknown
}

// A Decision is the outcome of one examination.
type Decision struct {
	Status     Status // Approved, Rejected, DoubleCheck or Error
	Verdict    Verdict
	Confidence int // 0 to 100; at least 95 exactly where the verdict is true or false
	// Final is false in every decision of a device: the centre may overrule it.
	Final     bool
	Reasons   []Reason // what decided, never empty
	Reasoning string   // the same for the clerk
	Checks    []Check  // every requested check as it was judged
	// Assurance and Attestation qualify an approval that rests on liveness.
	Assurance   Strength
	Attestation Attestation
	Policy      string // digest of the policy
}

// Decide is the rule of the house:
//
//   - approved iff every requested check is True and stands under the policy;
//   - otherwise rejected if any is False;
//   - otherwise double_check.
//
// A False of quality, data_comparison or duplicate_face counts as a reason for
// double_check unless the policy's RejectOn names it. Nothing requested, or an
// invalid policy, is double_check.
//
// Requested is what the policy demands at least, what the request names, and
// every check that has a result: a result cannot be hidden by not asking for it.
// Where a name has several results, the worst counts. A requested check without
// a result is NotRun.
//
// Decide reads results, bands, strength and attestation and nothing else, so
// that the centre repeats it.
func Decide(policy Policy, request Request, checks []Check) Decision {
	d := Decision{Status: DoubleCheck, Policy: policy.Digest()}
	d.Checks = complete(policy, request, checks)

	var failed, doubted []finding
	for _, check := range d.Checks {
		switch objections := policy.objections(check); {
		case check.Result == False && (!reviewable(check.Name) || slices.Contains(policy.RejectOn, check.Name)):
			failed = append(failed, finding{check.Reasons, check.Reasoning, certainty(check)})
		case check.Result != True:
			doubted = append(doubted, finding{check.Reasons, check.Reasoning, doubt(check.Result)})
		case len(objections) > 0:
			doubted = append(doubted, finding{objections, sentences(objections), doubt(Flagged)})
		}
	}

	switch {
	case policy.Validate() != nil:
		d.explain(finding{reasons: []Reason{PolicyInvalid}, words: PolicyInvalid.Sentence()})
	case len(d.Checks) == 0:
		d.explain(finding{reasons: []Reason{NothingRequested}, words: NothingRequested.Sentence()})
	case len(failed) > 0:
		d.Status = Rejected
		d.explain(failed...)
		// One failure is enough, so the surest one speaks.
		d.Confidence = slices.MaxFunc(failed, byConfidence).confidence
	case len(doubted) > 0:
		d.explain(doubted...)
		d.Confidence = slices.MinFunc(doubted, byConfidence).confidence
	default:
		d.approve()
	}
	d.Verdict = VerdictOf(d.Status)
	return d
}

// Failed is the decision of an examination that could not do its work: status
// error, no verdict, retryable.
func Failed(reason Reason) Decision {
	return Decision{Status: Error, Reasons: []Reason{reason}, Reasoning: reason.Sentence()}
}

// approve explains a decision all of whose checks passed. The chain is as sure
// as its weakest link.
func (d *Decision) approve() {
	d.Status, d.Confidence = Approved, 100
	for _, check := range d.Checks {
		d.explain(finding{reasons: check.Reasons, words: check.Reasoning})
		d.Confidence = min(d.Confidence, certainty(check))
		if check.Name == Liveness {
			d.Assurance, d.Attestation = check.Strength, check.Attestation
		}
	}
}

// A finding is one thing that decided.
type finding struct {
	reasons    []Reason
	words      string
	confidence int
}

func byConfidence(a, b finding) int { return a.confidence - b.confidence }

// explain adds the findings to the reasons, each code once, and to the reasoning.
func (d *Decision) explain(findings ...finding) {
	var words []string
	for _, f := range findings {
		news := false
		for _, r := range f.reasons {
			if !slices.Contains(d.Reasons, r) {
				d.Reasons, news = append(d.Reasons, r), true
			}
		}
		if news && f.words != "" {
			words = append(words, f.words)
		}
	}
	d.Reasoning = strings.TrimSpace(d.Reasoning + " " + strings.Join(words, " "))
}

// complete lists one check per requested name, in order.
func complete(policy Policy, request Request, checks []Check) []Check {
	names := append(slices.Clone(policy.Least), request.Checks...)
	for _, check := range checks {
		names = append(names, check.Name)
	}
	var all []Check
	for _, name := range inOrder(names) {
		all = append(all, worst(name, checks))
	}
	return all
}

// worst returns the worst of the results that name has, or NotRun.
func worst(name CheckName, checks []Check) Check {
	var found []Check
	for _, check := range checks {
		if check.Name == name {
			found = append(found, check)
		}
	}
	if len(found) == 0 {
		missing := Check{Name: name}
		missing.because(NotRun, EvidenceMissing)
		return missing
	}
	return slices.MinFunc(found, func(a, b Check) int {
		if by := rank(a.Result) - rank(b.Result); by != 0 {
			return by
		}
		if by := int(a.Band) - int(b.Band); by != 0 {
			return by
		}
		if by := int(a.Strength) - int(b.Strength); by != 0 {
			return by
		}
		return int(a.Attestation) - int(b.Attestation)
	})
}

// rank orders results from the worst to the best outcome.
func rank(r Result) int {
	switch r {
	case False:
		return 0
	case Flagged:
		return 2
	case True:
		return 3
	}
	return 1
}

// objections are the policy's reasons not to accept a check that passed. A pass
// that its own band does not bear out is none.
func (p Policy) objections(c Check) []Reason {
	var objections []Reason
	switch c.Name {
	default:
		if !slices.Contains(CheckNames(), c.Name) {
			objections = append(objections, NotAvailable)
		}
	case FaceMatch:
		switch wanted := step(p.FMR, p.FMRInEveryCohort); {
		case c.Band == 0 || c.Band > 7:
			objections = append(objections, ResultContradictsBand)
		case wanted == 0 || c.Band < wanted:
			objections = append(objections, FMRNotMet)
		}
	case Liveness:
		if c.Band != BandBonaFide {
			objections = append(objections, ResultContradictsBand)
		}
		if c.Strength < p.Liveness || c.Strength < Still || c.Strength > Challenge {
			objections = append(objections, LivenessTooWeak)
		}
		if c.Attestation != Attested && !p.AcceptUnattested {
			objections = append(objections, CameraUnattested)
		}
	}
	return objections
}
