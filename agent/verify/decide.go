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
	// Checks are all that were requested, as they were judged.
	Checks []Check
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
// double_check unless the policy's RejectOn names it. An invalid policy, such as
// one that demands nothing, is double_check.
//
// Requested is what the policy demands at least, what the request names, and
// every check that has a result: a result cannot be hidden by not asking for it.
// Where a name has several results, each must stand. A requested check without a
// result is NotRun.
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
		case check.Result == NotRun:
			words := "The check " + string(check.Name) + " did not run. " + check.Reasoning
			doubted = append(doubted, finding{check.Reasons, words, doubt(NotRun)})
		case check.Result != True:
			doubted = append(doubted, finding{check.Reasons, check.Reasoning, doubt(check.Result)})
		case len(objections) > 0:
			doubted = append(doubted, finding{objections, sentences(objections), doubt(Flagged)})
		}
	}

	switch {
	case policy.Validate() != nil:
		d.explain(finding{reasons: []Reason{PolicyInvalid}, words: PolicyInvalid.Sentence()})
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
	var passed []finding
	for _, check := range d.Checks {
		passed = append(passed, finding{reasons: check.Reasons, words: check.Reasoning})
		d.Confidence = min(d.Confidence, certainty(check))
		if check.Name == Liveness && (d.Assurance == NoLiveness || check.Strength < d.Assurance) {
			d.Assurance, d.Attestation = check.Strength, check.Attestation
		}
	}
	d.explain(passed...)
}

// A finding is one thing that decided.
type finding struct {
	reasons    []Reason
	words      string
	confidence int
}

func byConfidence(a, b finding) int { return a.confidence - b.confidence }

// explain adds the findings to the reasons and the reasoning, everything once.
func (d *Decision) explain(findings ...finding) {
	var words []string
	for _, f := range findings {
		for _, r := range f.reasons {
			if !slices.Contains(d.Reasons, r) {
				d.Reasons = append(d.Reasons, r)
			}
		}
		if f.words != "" && !slices.Contains(words, f.words) {
			words = append(words, f.words)
		}
	}
	d.Reasoning = strings.Join(words, " ")
}

// complete lists the checks of every requested name, in order. A name without a
// result gets NotRun; of a name with several results each must stand.
func complete(policy Policy, request Request, checks []Check) []Check {
	names := append(slices.Clone(policy.Least), request.Checks...)
	for _, check := range checks {
		names = append(names, check.Name)
	}
	var all []Check
	for _, name := range inOrder(names) {
		before := len(all)
		for _, check := range checks {
			if check.Name == name {
				all = append(all, check)
			}
		}
		if len(all) == before {
			missing := Check{Name: name}
			missing.because(NotRun, EvidenceMissing)
			all = append(all, missing)
		}
	}
	return all
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
