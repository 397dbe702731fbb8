package verify_test

import (
	"math"
	"slices"
	"testing"

	"github.com/edgeverify/edgeverify/agent/verify"
)

const (
	encoder = "e1"
	network = "a1"
)

// judge is a device with one encoder measured at three steps and one detector
// with a grey band.
func judge(policy verify.Policy) verify.Judge {
	return verify.Judge{
		Policy: policy,
		Faces: []verify.FaceModel{{SHA256: encoder, Points: []verify.OperatingPoint{
			{ID: "fmr_1e-2", Rate: 1e-2, Threshold: 0.37},
			{ID: "fmr_1e-3", Rate: 1e-3, Threshold: 0.46},
			{ID: "fmr_1e-3_cohorts", Rate: 1e-3, Threshold: 0.52, EveryCohort: true},
		}}},
		PAD: []verify.PADModel{{
			SHA256: network,
			Accept: verify.OperatingPoint{ID: "apcer_1e-2", Rate: 1e-2, Threshold: 0.7},
			Refuse: verify.OperatingPoint{ID: "bpcer_1e-2", Rate: 1e-2, Threshold: 0.3},
		}},
	}
}

func asks(names ...verify.CheckName) verify.Request { return verify.Request{Checks: names} }

// genuine is evidence of a genuine person with good images.
func genuine() verify.Evidence {
	return verify.Evidence{
		Images: []verify.ImageQuality{
			{Input: verify.DocumentFront, Width: 720, Height: 1280},
			{Input: verify.Selfie, Width: 640, Height: 480, Faces: 1},
		},
		FaceMatch: &verify.FaceMatchEvidence{
			Score: 0.8, Model: encoder, Reference: verify.DocumentPortrait, ProbeFaces: 1, ReferenceFaces: 1,
		},
		Liveness: &verify.LivenessEvidence{
			Strength: verify.Still, Frames: 1, Faces: 1, BonaFide: 0.95, Print: 0.04, Screen: 0.01, Model: network,
		},
	}
}

func find(t *testing.T, checks []verify.Check, name verify.CheckName) verify.Check {
	t.Helper()
	at := slices.IndexFunc(checks, func(c verify.Check) bool { return c.Name == name })
	if at < 0 {
		t.Fatalf("Checks returned no %s", name)
	}
	return checks[at]
}

func TestFaceMatchIsJudgedAtTheRateOfThePolicy(t *testing.T) {
	lenient, strict, unmeasured := verify.InstantPolicy(), verify.InstantPolicy(), verify.InstantPolicy()
	lenient.FMR = 1e-2
	strict.FMRInEveryCohort = true
	unmeasured.FMR = 1e-4
	tests := []struct {
		name   string
		policy verify.Policy
		change func(*verify.FaceMatchEvidence)
		result verify.Result
		band   verify.Band
		reason verify.Reason
	}{
		{"above every point", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = 0.53 }, verify.True, 4, verify.FaceMatches},
		{"between the points", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = 0.5 }, verify.True, 3, verify.FaceMatches},
		{"exactly at the threshold", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = 0.46 }, verify.False, 1, verify.FaceDiffers},
		{"below every point", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = -0.2 }, verify.False, 0, verify.FaceDiffers},
		{"a lenient policy", lenient, func(e *verify.FaceMatchEvidence) { e.Score = 0.4 }, verify.True, 1, verify.FaceMatches},
		{"a strict policy", strict, func(e *verify.FaceMatchEvidence) { e.Score = 0.5 }, verify.False, 3, verify.FaceDiffers},
		{"a rate that was not measured", unmeasured, func(*verify.FaceMatchEvidence) {}, verify.Unknown, 0, verify.OperatingPointNotMeasured},
		{"NaN", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = verify.Score(math.NaN()) }, verify.Unknown, 0, verify.ModelOutputInvalid},
		{"infinite", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = verify.Score(math.Inf(1)) }, verify.Unknown, 0, verify.ModelOutputInvalid},
		{"no cosine", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = 1.5 }, verify.Unknown, 0, verify.ModelOutputInvalid},
		{"a strange model", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Model = "other" }, verify.Unknown, 0, verify.ModelUnknown},
		{"no model", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Model = "" }, verify.Unknown, 0, verify.ModelUnknown},
		{"no face in the probe", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.ProbeFaces = 0 }, verify.Unknown, 0, verify.NoFaceInProbe},
		{"two faces in the probe", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.ProbeFaces = 2 }, verify.Unknown, 0, verify.SeveralFaces},
		{"no face in the document", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.ReferenceFaces = 0 }, verify.Unknown, 0, verify.NoFaceInReference},
		{"somebody beside the portrait", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.ReferenceFaces = 2 }, verify.Unknown, 0, verify.SeveralFacesInReference},
		{"one picture shown twice", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) { e.Score = 0.99 }, verify.Flagged, 4, verify.ProbeIsReference},
		{"the enrolled picture shown again", verify.InstantPolicy(), func(e *verify.FaceMatchEvidence) {
			e.Score, e.Reference = 0.99, verify.AccountReference
		}, verify.True, 4, verify.FaceMatches},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			evidence := genuine()
			tt.change(evidence.FaceMatch)
			got := find(t, judge(tt.policy).Checks(asks(), evidence), verify.FaceMatch)
			if got.Result != tt.result || got.Band != tt.band || !slices.Equal(got.Reasons, []verify.Reason{tt.reason}) {
				t.Errorf("face_match = %v, band %d, %v, want %v, band %d, %s",
					got.Result, got.Band, got.Reasons, tt.result, tt.band, tt.reason)
			}
		})
	}
}

func TestFaceMatchReasoningNamesReferenceAndRate(t *testing.T) {
	evidence := genuine()
	got := find(t, judge(verify.InstantPolicy()).Checks(asks(), evidence), verify.FaceMatch).Reasoning
	if want := "The face matches the document portrait at a false match rate of 1 in 1,000."; got != want {
		t.Errorf("reasoning = %q, want %q", got, want)
	}
	strict := verify.InstantPolicy()
	strict.FMRInEveryCohort = true
	evidence.FaceMatch.Score, evidence.FaceMatch.Reference = 0.1, verify.AccountReference
	got = find(t, judge(strict).Checks(asks(), evidence), verify.FaceMatch).Reasoning
	if want := "The face does not match the reference of the account at a false match rate of 1 in 1,000 in every cohort."; got != want {
		t.Errorf("reasoning = %q, want %q", got, want)
	}
}

func TestAPointWithoutThresholdIsNotMeasured(t *testing.T) {
	for _, threshold := range []float64{math.NaN(), math.Inf(-1)} {
		j := judge(verify.InstantPolicy())
		j.Faces[0].Points[1].Threshold = threshold
		j.PAD[0].Accept.Threshold = threshold
		checks := j.Checks(asks(), genuine())
		for _, name := range []verify.CheckName{verify.FaceMatch, verify.Liveness} {
			if got := find(t, checks, name); got.Result != verify.Unknown {
				t.Errorf("%s at threshold %v = %v, want unknown", name, threshold, got.Result)
			}
		}
	}
}

func TestLivenessIsAVetoWithAGreyBand(t *testing.T) {
	tests := []struct {
		name   string
		change func(*verify.LivenessEvidence)
		result verify.Result
		band   verify.Band
		reason verify.Reason
	}{
		{"bona fide", func(*verify.LivenessEvidence) {}, verify.True, verify.BandBonaFide, verify.LivenessShown},
		{"grey", func(e *verify.LivenessEvidence) { e.BonaFide = 0.5 }, verify.Flagged, verify.BandGrey, verify.LivenessUncertain},
		{"exactly at the accepting point", func(e *verify.LivenessEvidence) { e.BonaFide = 0.7 }, verify.Flagged, verify.BandGrey, verify.LivenessUncertain},
		{"print", func(e *verify.LivenessEvidence) { e.BonaFide, e.Print, e.Screen = 0.1, 0.8, 0.1 }, verify.False, verify.BandAttack, verify.AttackPrint},
		{"screen", func(e *verify.LivenessEvidence) { e.BonaFide, e.Print, e.Screen = 0.1, 0.1, 0.8 }, verify.False, verify.BandAttack, verify.AttackScreen},
		{"an attack of no clear species", func(e *verify.LivenessEvidence) { e.BonaFide, e.Print, e.Screen = 0.3, 0.3, 0.3 }, verify.False, verify.BandAttack, verify.AttackSuspected},
		{"NaN", func(e *verify.LivenessEvidence) { e.BonaFide = verify.Score(math.NaN()) }, verify.Unknown, 0, verify.ModelOutputInvalid},
		{"NaN for a species", func(e *verify.LivenessEvidence) { e.Print = verify.Score(math.NaN()) }, verify.Unknown, 0, verify.ModelOutputInvalid},
		{"no probability", func(e *verify.LivenessEvidence) { e.BonaFide = 1.01 }, verify.Unknown, 0, verify.ModelOutputInvalid},
		{"a strange model", func(e *verify.LivenessEvidence) { e.Model = "other" }, verify.Unknown, 0, verify.ModelUnknown},
		{"no face", func(e *verify.LivenessEvidence) { e.Faces = 0 }, verify.Unknown, 0, verify.NoFaceInProbe},
		{"two faces", func(e *verify.LivenessEvidence) { e.Faces = 2 }, verify.Unknown, 0, verify.SeveralFaces},
		{"no frame", func(e *verify.LivenessEvidence) { e.Frames = 0 }, verify.NotRun, 0, verify.EvidenceMissing},
		{"a quiet signal", func(e *verify.LivenessEvidence) { e.Signals = moire(0.2, 0.5) }, verify.True, verify.BandBonaFide, verify.LivenessShown},
		{"a loud signal", func(e *verify.LivenessEvidence) { e.Signals = moire(0.6, 0.5) }, verify.Flagged, verify.BandGrey, verify.MoirePattern},
		{"a broken signal", func(e *verify.LivenessEvidence) { e.Signals = moire(math.NaN(), 0.5) }, verify.Flagged, verify.BandGrey, verify.MoirePattern},
		{"a signal without a point", func(e *verify.LivenessEvidence) { e.Signals = []verify.Signal{{Reason: verify.MoirePattern}} }, verify.Flagged, verify.BandGrey, verify.MoirePattern},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			evidence := genuine()
			tt.change(evidence.Liveness)
			got := find(t, judge(verify.InstantPolicy()).Checks(asks(), evidence), verify.Liveness)
			if got.Result != tt.result || got.Band != tt.band || !slices.Equal(got.Reasons, []verify.Reason{tt.reason}) {
				t.Errorf("liveness = %v, band %d, %v, want %v, band %d, %s",
					got.Result, got.Band, got.Reasons, tt.result, tt.band, tt.reason)
			}
		})
	}
}

func moire(score, threshold float64) []verify.Signal {
	return []verify.Signal{{
		Reason: verify.MoirePattern, Score: verify.Score(score),
		Point: verify.OperatingPoint{ID: "moire", Threshold: threshold},
	}}
}

func TestTooFewFramesCountAsAStillImage(t *testing.T) {
	tests := []struct {
		claimed verify.Strength
		frames  int
		want    verify.Strength
	}{
		{verify.Challenge, 5, verify.Challenge},
		{verify.Challenge, 4, verify.Still},
		{verify.Frames, 5, verify.Frames},
		{verify.Frames, 1, verify.Still},
		{verify.Still, 30, verify.Still},
		{verify.NoLiveness, 30, verify.NoLiveness},
		{verify.Challenge + 1, 30, verify.NoLiveness},
	}
	for _, tt := range tests {
		evidence := genuine()
		evidence.Liveness.Strength, evidence.Liveness.Frames = tt.claimed, tt.frames
		got := find(t, judge(verify.InstantPolicy()).Checks(asks(), evidence), verify.Liveness)
		if got.Strength != tt.want {
			t.Errorf("%v claimed on %d frames is judged as %v, want %v", tt.claimed, tt.frames, got.Strength, tt.want)
		}
	}
}

func TestQualityNamesEveryFaultOnce(t *testing.T) {
	evidence := genuine()
	evidence.Images = []verify.ImageQuality{
		{Input: verify.DocumentFront, Width: 1279, Height: 720, Findings: []verify.Reason{verify.Glare}},
		{Input: verify.DocumentBack, Width: 1280, Height: 719, Findings: []verify.Reason{verify.Glare}},
		{Input: verify.Selfie, Width: 640, Height: 480, Faces: 2},
	}
	got := find(t, judge(verify.InstantPolicy()).Checks(asks(), evidence), verify.Quality)
	want := []verify.Reason{verify.Glare, verify.ImageTooSmall, verify.SeveralFaces}
	if got.Result != verify.False || !slices.Equal(got.Reasons, want) {
		t.Errorf("quality = %v, %v, want false, %v", got.Result, got.Reasons, want)
	}
	evidence.Images = []verify.ImageQuality{{Input: verify.Selfie, Width: 640, Height: 480}}
	got = find(t, judge(verify.InstantPolicy()).Checks(asks(), evidence), verify.Quality)
	if got.Result != verify.False || !slices.Equal(got.Reasons, []verify.Reason{verify.NoFaceInProbe}) {
		t.Errorf("quality without a face = %v, %v, want false, no_face_in_probe", got.Result, got.Reasons)
	}
}

func TestADocumentMustHaveItsPixelsOnBothSides(t *testing.T) {
	tests := []struct {
		width, height int
		want          verify.Result
	}{
		{1280, 720, verify.True}, {720, 1280, verify.True}, {4000, 3000, verify.True},
		{1279, 720, verify.False}, {1280, 719, verify.False}, {719, 1280, verify.False}, {0, 0, verify.False}, {-1280, -720, verify.False},
	}
	for _, tt := range tests {
		evidence := verify.Evidence{Images: []verify.ImageQuality{{Input: verify.DocumentBack, Width: tt.width, Height: tt.height}}}
		got := find(t, judge(verify.InstantPolicy()).Checks(asks(), evidence), verify.Quality)
		if got.Result != tt.want {
			t.Errorf("quality of a document of %d×%d = %v, want %v", tt.width, tt.height, got.Result, tt.want)
		}
	}
}

func TestACheckThatTheDeviceCannotRunSaysSo(t *testing.T) {
	everything := asks(verify.CheckNames()...)
	checks := judge(verify.InstantPolicy()).Checks(everything, genuine())
	if len(checks) != len(verify.CheckNames()) {
		t.Fatalf("Checks returned %d checks, want %d", len(checks), len(verify.CheckNames()))
	}
	for _, c := range checks {
		able := c.Name == verify.Quality || c.Name == verify.FaceMatch || c.Name == verify.Liveness
		if !able && (c.Result != verify.NotRun || !slices.Equal(c.Reasons, []verify.Reason{verify.NotAvailable})) {
			t.Errorf("%s = %v, %v, want not_run, not_available_on_this_device", c.Name, c.Result, c.Reasons)
		}
	}
	for _, c := range (verify.Judge{Policy: verify.InstantPolicy()}).Checks(asks(), genuine()) {
		if c.Name != verify.Quality && c.Result != verify.NotRun {
			t.Errorf("%s without a model = %v, want not_run", c.Name, c.Result)
		}
	}
}

func TestMissingEvidenceIsNotRun(t *testing.T) {
	for _, c := range judge(verify.InstantPolicy()).Checks(asks(), verify.Evidence{}) {
		if c.Result != verify.NotRun || !slices.Equal(c.Reasons, []verify.Reason{verify.EvidenceMissing}) {
			t.Errorf("%s without evidence = %v, %v, want not_run, evidence_missing", c.Name, c.Result, c.Reasons)
		}
	}
}

func TestRequestedIsThePolicysLeastAndTheCallersChoice(t *testing.T) {
	nothing := verify.InstantPolicy()
	nothing.Least = nil
	able := []verify.CheckName{verify.Quality, verify.FaceMatch, verify.Liveness}
	tests := []struct {
		name    string
		policy  verify.Policy
		request verify.Request
		want    []verify.CheckName
	}{
		{"least and more", verify.InstantPolicy(), asks(verify.AML, verify.Quality),
			[]verify.CheckName{verify.Quality, verify.FaceMatch, verify.Liveness, verify.AML}},
		{"an unknown name does not vanish", nothing, asks("aura", verify.Liveness), []verify.CheckName{verify.Liveness, "aura"}},
		{"none asked for", nothing, asks([]verify.CheckName{}...), nil},
		{"left out, document and selfie", nothing, verify.Request{Inputs: []verify.Input{verify.DocumentFront, verify.Selfie}}, able},
		{"left out, selfie alone", nothing, verify.Request{Inputs: []verify.Input{verify.Selfie}},
			[]verify.CheckName{verify.Quality, verify.Liveness}},
		{"left out, document alone", nothing, verify.Request{Inputs: []verify.Input{verify.DocumentBack}},
			[]verify.CheckName{verify.Quality}},
		{"left out, nothing given", nothing, verify.Request{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "none asked for" {
				tt.request.Checks = []verify.CheckName{}
				tt.request.Inputs = []verify.Input{verify.Selfie}
			}
			if got := verify.Requested(tt.policy, tt.request, able); !slices.Equal(got, tt.want) {
				t.Errorf("Requested = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPointsThatDecideEverythingAreRefused(t *testing.T) {
	for _, threshold := range []float64{-2, -1, 0, 1, 2} {
		j := judge(verify.InstantPolicy())
		j.Faces[0].Points[1].Threshold = threshold
		j.PAD[0].Accept.Threshold = threshold
		for _, name := range []verify.CheckName{verify.FaceMatch, verify.Liveness} {
			if got := find(t, j.Checks(asks(), genuine()), name); got.Result == verify.True {
				t.Errorf("%s at a threshold of %v = %v, want no pass", name, threshold, got.Result)
			}
		}
	}
}

func TestAPictureThatWasNotMeasuredIsNotGoodEnough(t *testing.T) {
	request, evidence := asks(), genuine()
	request.Inputs = []verify.Input{verify.DocumentFront, verify.Selfie}
	evidence.Images = evidence.Images[:1]
	if got := find(t, judge(verify.InstantPolicy()).Checks(request, evidence), verify.Quality); got.Result != verify.NotRun {
		t.Errorf("quality with one of %v measured = %v, want not_run", request.Inputs, got.Result)
	}
	evidence = genuine()
	evidence.Images = append(evidence.Images, verify.ImageQuality{Input: "sketch", Width: 1, Height: 1})
	if got := find(t, judge(verify.InstantPolicy()).Checks(request, evidence), verify.Quality); got.Result != verify.False {
		t.Errorf("quality with a picture of unknown kind = %v, want false", got.Result)
	}
}
