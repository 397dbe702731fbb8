package verify_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// drawPolicy favours valid ones: else next to nothing would ever be approved.
func drawPolicy(t *rapid.T) verify.Policy {
	p := rapid.SampledFrom([]verify.Policy{verify.InstantPolicy(), verify.KioskPolicy()}).Draw(t, "policy")
	p.Least = rapid.SliceOfN(rapid.SampledFrom(verify.CheckNames()), 0, 2).Draw(t, "least")
	if rapid.IntRange(0, 7).Draw(t, "demand no person") > 0 {
		p.Least = append(p.Least, rapid.SampledFrom([]verify.CheckName{verify.FaceMatch, verify.Liveness}).Draw(t, "demanded"))
	}
	if rapid.IntRange(0, 3).Draw(t, "spoil policy") == 0 {
		p.Liveness = verify.Strength(rapid.IntRange(0, 4).Draw(t, "strength"))
		p.AcceptUnattested = rapid.Bool().Draw(t, "unattested")
		p.FMR = rapid.SampledFrom([]float64{0, 1e-2, 1e-4, math.NaN()}).Draw(t, "fmr")
		p.FMRInEveryCohort = rapid.Bool().Draw(t, "cohorts")
		p.RejectOn = rapid.SliceOfN(rapid.SampledFrom([]verify.CheckName{verify.Quality, verify.DataComparison, verify.FaceMatch}), 0, 2).Draw(t, "reject_on")
	}
	return p
}

// drawCheck favours what passes: else next to nothing would ever be approved.
func drawCheck(t *rapid.T, name verify.CheckName) verify.Check {
	c := verify.Check{Name: name, Result: verify.True, Band: verify.BandBonaFide, Strength: verify.Challenge, Attestation: verify.Attested}
	if name == verify.FaceMatch {
		c.Band = 4
	}
	if rapid.IntRange(0, 15).Draw(t, "spoil") == 15 {
		c.Result = verify.Result(rapid.IntRange(0, 6).Draw(t, "result"))
		c.Band = verify.Band(rapid.IntRange(0, 9).Draw(t, "band"))
		c.Strength = verify.Strength(rapid.IntRange(0, 5).Draw(t, "strength"))
		c.Attestation = verify.Attestation(rapid.IntRange(0, 2).Draw(t, "attestation"))
	}
	return c
}

func drawChecks(t *rapid.T) []verify.Check {
	var checks []verify.Check
	for _, name := range append(verify.CheckNames(), verify.Liveness, "aura") {
		if name == "aura" && rapid.IntRange(0, 9).Draw(t, "aura") > 0 {
			continue
		}
		if rapid.IntRange(0, 9).Draw(t, "has result") > 0 {
			checks = append(checks, drawCheck(t, name))
		}
	}
	return checks
}

func drawRequest(t *rapid.T) verify.Request {
	return verify.Request{Checks: rapid.SliceOfN(rapid.SampledFrom(verify.CheckNames()), 0, 1).Draw(t, "asked")}
}

func TestNothingIsApprovedUnlessEveryRequestedCheckIsTrue(t *testing.T) {
	draws, approved := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		draws++
		policy, request, checks := drawPolicy(t), drawRequest(t), drawChecks(t)
		d := verify.Decide(policy, request, checks)
		if (d.Verdict == verify.VerdictUnknown) != (d.Confidence < 95) || d.Confidence < 0 || d.Confidence > 100 {
			t.Fatalf("Decide = %s with confidence %d: verdict and confidence disagree", d.Status, d.Confidence)
		}
		if d.Verdict != verify.VerdictOf(d.Status) || d.Final {
			t.Fatalf("Decide = %s, verdict %v, final %v", d.Status, d.Verdict, d.Final)
		}
		if d.Status != verify.Approved {
			return
		}
		approved++
		requested := append(slices.Clone(policy.Least), request.Checks...)
		if len(requested)+len(checks) == 0 || policy.Validate() != nil {
			t.Fatalf("approved %v under %+v", requested, policy)
		}
		for _, name := range requested {
			if !slices.ContainsFunc(checks, func(c verify.Check) bool { return c.Name == name }) {
				t.Fatalf("approved without %s", name)
			}
		}
		for _, c := range checks {
			if c.Result != verify.True {
				t.Fatalf("approved with %s %v", c.Name, c.Result)
			}
			if c.Name == verify.Liveness && (c.Strength < policy.Liveness || c.Attestation != verify.Attested && !policy.AcceptUnattested) {
				t.Fatalf("approved with liveness %v, %v under %+v", c.Strength, c.Attestation, policy)
			}
		}
	})
	if draws >= 100 && approved == 0 { // -short draws 20, which may all miss
		t.Errorf("none of %d draws was approved: the property was not tested", draws)
	}
}

// merit orders outcomes.
func merit(s verify.Status) int {
	return slices.Index([]verify.Status{verify.Rejected, verify.DoubleCheck, verify.Approved}, s)
}

func TestLivenessIsAVetoLoweringItNeverRaisesTheOutcome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := verify.InstantPolicy()
		policy.Least = []verify.CheckName{verify.FaceMatch, verify.Liveness}
		high, low := genuine(), genuine()
		score := rapid.Float64Range(-1, 1).Draw(t, "comparison")
		high.FaceMatch.Score, low.FaceMatch.Score = verify.Score(score), verify.Score(score)
		better := rapid.Float64Range(0, 1).Draw(t, "better")
		worse := rapid.Float64Range(0, better).Draw(t, "worse")
		high.Liveness.BonaFide, low.Liveness.BonaFide = verify.Score(better), verify.Score(worse)
		low.Liveness.Signals = moire(rapid.Float64().Draw(t, "signal"), 0.5)

		j := judge(policy)
		a := verify.Decide(policy, verify.Request{}, j.Checks(verify.Request{}, high))
		b := verify.Decide(policy, verify.Request{}, j.Checks(verify.Request{}, low))
		if merit(b.Status) > merit(a.Status) {
			t.Fatalf("bona fide %v gives %s and the lower %v gives %s", better, a.Status, worse, b.Status)
		}
		// Nor does liveness raise what the face alone would not reach.
		alone := policy
		alone.Least = []verify.CheckName{verify.FaceMatch}
		c := verify.Decide(alone, asks(), verify.Judge{Policy: alone, Faces: j.Faces}.Checks(verify.Request{Checks: []verify.CheckName{}}, high))
		if merit(a.Status) > merit(c.Status) {
			t.Fatalf("liveness raised %s to %s", c.Status, a.Status)
		}
	})
}

func TestANumberThatIsNoneNeverApproves(t *testing.T) {
	broken := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300}
	rapid.Check(t, func(t *rapid.T) {
		e := genuine()
		places := []*verify.Score{&e.FaceMatch.Score, &e.Liveness.BonaFide, &e.Liveness.Print, &e.Liveness.Screen}
		place := rapid.SampledFrom(places).Draw(t, "place")
		*place = verify.Score(rapid.SampledFrom(broken).Draw(t, "value"))
		policy := verify.InstantPolicy()
		d := verify.Decide(policy, verify.Request{}, judge(policy).Checks(verify.Request{}, e))
		if d.Status != verify.DoubleCheck {
			t.Fatalf("Decide = %s, want double_check", d.Status)
		}
	})
}

func TestAskingForMoreNeverApprovesWhatWasNotApproved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy, request, checks := drawPolicy(t), drawRequest(t), drawChecks(t)
		before := verify.Decide(policy, request, checks)
		if len(before.Checks) == 0 {
			return // nothing requested is no verification yet
		}
		name := rapid.SampledFrom(verify.CheckNames()).Draw(t, "more")
		if slices.ContainsFunc(before.Checks, func(c verify.Check) bool { return c.Name == name }) {
			return // not more
		}
		request.Checks = append(slices.Clone(request.Checks), name)
		more := checks
		if rapid.Bool().Draw(t, "with its result") {
			more = append(slices.Clone(checks), drawCheck(t, name))
		}
		after := verify.Decide(policy, request, more)
		if merit(after.Status) > merit(before.Status) {
			t.Fatalf("asking for %s as well turned %s into %s", name, before.Status, after.Status)
		}
	})
}

// The centre holds results and bands, judged under the device's policy. With a
// policy of its own it must approve exactly what the device would have approved
// under that policy, as long as the policy is not more lenient.
func TestTheCentreDecidesFromBandsAsTheDeviceWouldFromScores(t *testing.T) {
	type rate struct {
		fmr     float64
		cohorts bool
	}
	rates := []rate{{1e-2, false}, {1e-3, false}, {1e-3, true}}
	rapid.Check(t, func(t *rapid.T) {
		lenient := rapid.IntRange(0, 2).Draw(t, "device")
		strict := rapid.IntRange(lenient, 2).Draw(t, "centre")
		device, centre := verify.InstantPolicy(), verify.InstantPolicy()
		device.FMR, device.FMRInEveryCohort = rates[lenient].fmr, rates[lenient].cohorts
		centre.FMR, centre.FMRInEveryCohort = rates[strict].fmr, rates[strict].cohorts
		e := genuine()
		e.FaceMatch.Score = verify.Score(rapid.Float64Range(0.3, 0.6).Draw(t, "score"))

		sent := verify.Decide(device, verify.Request{}, judge(device).Checks(verify.Request{}, e)).Checks
		at := verify.Decide(centre, verify.Request{}, sent)
		want := verify.Decide(centre, verify.Request{}, judge(centre).Checks(verify.Request{}, e))
		if (at.Status == verify.Approved) != (want.Status == verify.Approved) {
			t.Fatalf("the centre decides %s from bands, the device %s from scores", at.Status, want.Status)
		}
	})
}

func TestDecidingAgainChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy, request, checks := drawPolicy(t), drawRequest(t), drawChecks(t)
		once := verify.Decide(policy, request, checks)
		twice := verify.Decide(policy, request, once.Checks)
		if once.Status != twice.Status || once.Confidence != twice.Confidence || once.Reasoning != twice.Reasoning {
			t.Fatalf("Decide = %s %d, and again %s %d", once.Status, once.Confidence, twice.Status, twice.Confidence)
		}
	})
}
