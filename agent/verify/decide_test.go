package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// passed returns the three checks of an instant call that passed.
func passed() []verify.Check {
	return []verify.Check{
		{Name: verify.Quality, Result: verify.True, Reasons: []verify.Reason{verify.QualitySufficient}, Reasoning: "Good."},
		{Name: verify.FaceMatch, Result: verify.True, Band: 3, Reasons: []verify.Reason{verify.FaceMatches}, Reasoning: "Same."},
		{Name: verify.Liveness, Result: verify.True, Band: verify.BandBonaFide, Strength: verify.Still, Reasons: []verify.Reason{verify.LivenessShown}, Reasoning: "Alive."},
	}
}

// with returns passed() after change to the check called name.
func with(name verify.CheckName, change func(*verify.Check)) []verify.Check {
	checks := passed()
	at := slices.IndexFunc(checks, func(c verify.Check) bool { return c.Name == name })
	change(&checks[at])
	return checks
}

func result(name verify.CheckName, r verify.Result) []verify.Check {
	return with(name, func(c *verify.Check) { c.Result = r })
}

func TestDecisionFollowsTheRuleOfTheHouse(t *testing.T) {
	instant := verify.InstantPolicy()
	lenient, strict := instant, instant
	lenient.FMR = 1e-2
	strict.FMRInEveryCohort = true
	rejecting := instant
	rejecting.RejectOn = []verify.CheckName{verify.Quality}
	nothing, pictures := instant, instant
	nothing.Least = nil
	pictures.Least = []verify.CheckName{verify.Quality}

	attested := func(s verify.Strength, a verify.Attestation) []verify.Check {
		return with(verify.Liveness, func(c *verify.Check) { c.Strength, c.Attestation = s, a })
	}
	tests := []struct {
		name       string
		policy     verify.Policy
		request    verify.Request
		checks     []verify.Check
		status     verify.Status
		confidence int
		reason     verify.Reason
	}{
		{"all true", instant, verify.Request{}, passed(), verify.Approved, 95, verify.FaceMatches},
		{"a challenge is surer", instant, verify.Request{}, attested(verify.Challenge, verify.Attested), verify.Approved, 96, verify.FaceMatches},
		{"face differs", instant, verify.Request{}, with(verify.FaceMatch, func(c *verify.Check) {
			c.Result, c.Band, c.Reasons = verify.False, 0, []verify.Reason{verify.FaceDiffers}
		}), verify.Rejected, 97, verify.FaceDiffers},
		{"attack", instant, verify.Request{}, with(verify.Liveness, func(c *verify.Check) {
			c.Result, c.Band, c.Reasons = verify.False, verify.BandAttack, []verify.Reason{verify.AttackPrint}
		}), verify.Rejected, 96, verify.AttackPrint},
		{"liveness flagged", instant, verify.Request{}, result(verify.Liveness, verify.Flagged), verify.DoubleCheck, 50, verify.LivenessShown},
		{"face unknown", instant, verify.Request{}, result(verify.FaceMatch, verify.Unknown), verify.DoubleCheck, 25, verify.FaceMatches},
		{"face not run", instant, verify.Request{}, result(verify.FaceMatch, verify.NotRun), verify.DoubleCheck, 0, verify.FaceMatches},
		{"quality false asks a person", instant, verify.Request{}, result(verify.Quality, verify.False), verify.DoubleCheck, 50, verify.QualitySufficient},
		{"quality false rejects where the policy says so", rejecting, verify.Request{}, result(verify.Quality, verify.False), verify.Rejected, 95, verify.QualitySufficient},
		{"false wins over unknown", instant, verify.Request{}, append(result(verify.FaceMatch, verify.Unknown)[:2],
			verify.Check{Name: verify.Liveness, Result: verify.False}), verify.Rejected, 96, ""},
		{"a check that the policy wants is missing", instant, verify.Request{}, passed()[:2], verify.DoubleCheck, 0, verify.EvidenceMissing},
		{"a check that the caller wants is missing", instant, verify.Request{Checks: []verify.CheckName{verify.AML}}, passed(), verify.DoubleCheck, 0, verify.EvidenceMissing},
		{"a false that nobody asked for still rejects", instant, verify.Request{},
			append(passed(), verify.Check{Name: verify.Fraud, Result: verify.False}), verify.Rejected, 95, ""},
		{"the worse of two results counts", instant, verify.Request{},
			append(passed(), verify.Check{Name: verify.FaceMatch, Result: verify.False}), verify.Rejected, 97, ""},
		{"a check that nobody knows", instant, verify.Request{Checks: []verify.CheckName{"aura"}},
			append(passed(), verify.Check{Name: "aura", Result: verify.True}), verify.DoubleCheck, 50, verify.NotAvailable},
		{"a policy that demands nothing", nothing, verify.Request{Checks: []verify.CheckName{verify.Quality}}, passed(), verify.DoubleCheck, 0, verify.PolicyInvalid},
		{"a policy that demands no person", pictures, verify.Request{}, passed(), verify.DoubleCheck, 0, verify.PolicyInvalid},
		{"zero policy", verify.Policy{}, verify.Request{}, passed(), verify.DoubleCheck, 0, verify.PolicyInvalid},
		{"a lower rate was asked at the centre", strict, verify.Request{}, passed(), verify.DoubleCheck, 50, verify.FMRNotMet},
		{"a higher rate was asked at the centre", lenient, verify.Request{}, passed(), verify.Approved, 95, verify.FaceMatches},
		{"true in the band of nothing", instant, verify.Request{}, with(verify.FaceMatch, func(c *verify.Check) { c.Band = 0 }), verify.DoubleCheck, 50, verify.ResultContradictsBand},
		{"true in the band of an attack", instant, verify.Request{}, with(verify.Liveness, func(c *verify.Check) { c.Band = 0 }), verify.DoubleCheck, 50, verify.ResultContradictsBand},
		{"true in the grey band", instant, verify.Request{}, with(verify.Liveness, func(c *verify.Check) { c.Band = verify.BandGrey }), verify.DoubleCheck, 50, verify.ResultContradictsBand},
		{"still at the kiosk", verify.KioskPolicy(), verify.Request{}, attested(verify.Still, verify.Attested), verify.DoubleCheck, 50, verify.LivenessTooWeak},
		{"frames at the kiosk", verify.KioskPolicy(), verify.Request{}, attested(verify.Frames, verify.Attested), verify.DoubleCheck, 50, verify.LivenessTooWeak},
		{"unattested at the kiosk", verify.KioskPolicy(), verify.Request{}, attested(verify.Challenge, verify.Unattested), verify.DoubleCheck, 50, verify.CameraUnattested},
		{"challenge and attested at the kiosk", verify.KioskPolicy(), verify.Request{}, attested(verify.Challenge, verify.Attested), verify.Approved, 96, verify.LivenessShown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := verify.Decide(tt.policy, tt.request, tt.checks)
			if d.Status != tt.status || d.Confidence != tt.confidence || d.Verdict != verify.VerdictOf(tt.status) {
				t.Errorf("Decide = %s, verdict %v, confidence %d, want %s, %v, %d",
					d.Status, d.Verdict, d.Confidence, tt.status, verify.VerdictOf(tt.status), tt.confidence)
			}
			if tt.reason != "" && !slices.Contains(d.Reasons, tt.reason) {
				t.Errorf("Decide gives the reasons %v, want %s among them", d.Reasons, tt.reason)
			}
			if d.Final {
				t.Error("Decide is final, want provisional: the centre may overrule")
			}
		})
	}
}

func TestAnApprovalByOneStillImageSaysSo(t *testing.T) {
	d := verify.Decide(verify.InstantPolicy(), verify.Request{}, passed())
	if d.Assurance != verify.Still || d.Attestation != verify.Unattested {
		t.Errorf("Decide assures %v, %v, want still, unattested", d.Assurance, d.Attestation)
	}
	d = verify.Decide(verify.InstantPolicy(), verify.Request{}, result(verify.FaceMatch, verify.Unknown))
	if d.Assurance != verify.NoLiveness {
		t.Errorf("a double check assures %v, want none", d.Assurance)
	}
}

func TestReasoningSaysWhatDecidedAndNothingElse(t *testing.T) {
	d := verify.Decide(verify.InstantPolicy(), verify.Request{}, passed())
	if want := "Good. Same. Alive."; d.Reasoning != want {
		t.Errorf("an approval reasons %q, want %q", d.Reasoning, want)
	}
	d = verify.Decide(verify.KioskPolicy(), verify.Request{}, passed())
	want := "Liveness was shown in a weaker way than the policy demands. The frames do not come from a camera that the device vouches for."
	if d.Reasoning != want {
		t.Errorf("a double check reasons %q, want %q", d.Reasoning, want)
	}
}

func TestReasoningNamesEveryCheckThatDidNotRun(t *testing.T) {
	request := asks(verify.OCR, verify.Fraud)
	policy := verify.InstantPolicy()
	d := verify.Decide(policy, request, judge(policy).Checks(request, genuine()))
	want := "The check ocr did not run. This device cannot run this check yet. The check fraud did not run. This device cannot run this check yet."
	if d.Reasoning != want {
		t.Errorf("Decide reasons %q, want %q", d.Reasoning, want)
	}
}

func TestMachineryFailureHasNoVerdict(t *testing.T) {
	d := verify.Failed(verify.CameraLost)
	if d.Status != verify.Error || d.Verdict != verify.VerdictUnknown || d.Confidence != 0 || len(d.Checks) != 0 {
		t.Errorf("Failed(camera_lost) = %+v, want status error and no verdict", d)
	}
	if want := "The camera was lost."; d.Reasoning != want {
		t.Errorf("Failed(camera_lost) reasons %q, want %q", d.Reasoning, want)
	}
}

func TestPolicyFaultsAreReportedTogether(t *testing.T) {
	bad := verify.Policy{
		Name: "p", Least: []verify.CheckName{"aura"}, FMR: 5e-4, Liveness: 9,
		RejectOn: []verify.CheckName{verify.FaceMatch},
	}
	err := bad.Validate()
	for _, want := range []string{"aura", "least must hold", "0.0005", "liveness must be", "reject_on"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v, want it to name %q", err, want)
		}
	}
	for _, good := range []verify.Policy{verify.InstantPolicy(), verify.KioskPolicy()} {
		if err := good.Validate(); err != nil {
			t.Errorf("%s.Validate() = %v, want nil", good.Name, err)
		}
	}
}

func TestPolicyDigestIgnoresOrderAndNothingElse(t *testing.T) {
	a, b, c := verify.InstantPolicy(), verify.InstantPolicy(), verify.InstantPolicy()
	slices.Reverse(b.Least)
	b.Least = append(b.Least, verify.Quality)
	c.FMRInEveryCohort = true
	if a.Digest() != b.Digest() {
		t.Errorf("digests %s and %s differ by the order of the list", a.Digest(), b.Digest())
	}
	if a.Digest() == c.Digest() {
		t.Errorf("digest %s does not cover fmr_in_every_cohort", a.Digest())
	}
	// The centre looks policies up by digest: it must never drift.
	if want := "817de79ef968ca3170445a7a5a81de0c878f7afd6485580bc8124e710bef1570"; a.Digest() != want {
		t.Errorf("InstantPolicy().Digest() = %s, want %s", a.Digest(), want)
	}
}
