package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/agent/verify"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const id = "019ab5c2-7d00-7000-8000-000000000001"

func event(action verify.Action, role verify.Role) verify.Event {
	return verify.Event{At: noon, Action: action, By: verify.Actor{Role: role, ID: "u1"}}
}

// submitted is a verification that waits for its examination.
func submitted(t *testing.T) verify.Verification {
	t.Helper()
	v := verify.New(id, noon, verify.Request{Inputs: []verify.Input{verify.DocumentFront, verify.Selfie}})
	if err := v.Apply(event(verify.Submit, verify.Integrator)); err != nil {
		t.Fatal(err)
	}
	return v
}

// approved is a whole verification with personal data.
func approved(t *testing.T) verify.Verification {
	t.Helper()
	v := submitted(t)
	evidence := genuine()
	evidence.Durations = map[verify.CheckName]time.Duration{verify.FaceMatch: 23456 * time.Microsecond}
	policy := verify.InstantPolicy()
	d := verify.Decide(policy, v.Request, judge(policy).Checks(v.Request, evidence))
	if err := v.Conclude(d, noon.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	v.Document = verify.DocumentInfo{Class: "id_card", Side: "front", Format: "TD1"}
	v.Extracted = map[string]verify.Field{"surname": {Value: "Zanzibarowska", Source: "mrz", Proof: "check_digit"}}
	v.Models = []verify.Model{{Name: "sface", Version: "2021dec", SHA256: encoder}}
	v.Timings = map[string]time.Duration{"detect": 1300 * time.Microsecond, "embed": 10500 * time.Microsecond}
	return v
}

// The golden file is the contract of `verify --json` and of the vault. A new
// field is added to it; an old golden file is kept and must still decode.
func TestVerificationJSONIsTheGoldenContract(t *testing.T) {
	v := approved(t)
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "verification.json")
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.TrimSpace(want)) {
		t.Errorf("Marshal differs from %s; got\n%s", path, got)
	}
	var back verify.Verification
	if err := json.Unmarshal(want, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, v) {
		t.Errorf("the golden file decodes to\n%#v\nwant\n%#v", plain(back), plain(v))
	}
}

// plain sheds the methods that hide a verification's content.
func plain(v verify.Verification) any {
	type bare verify.Verification
	return bare(v)
}

func TestJSONNeverSaysNull(t *testing.T) {
	got, err := json.Marshal(verify.New(id, noon, verify.Request{}))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(got, []byte("null")) {
		t.Errorf("Marshal(New) = %s, want no null", got)
	}
	if !bytes.Contains(got, []byte(`"verdict":"unknown"`)) {
		t.Errorf("Marshal(New) = %s, want verdict unknown", got)
	}
}

func TestDecodingRefusesWhatTheDomainDoesNotHave(t *testing.T) {
	for _, bad := range []string{
		`{"verdict":"maybe"}`, `{"verdict":true}`, `{"checks":[{"result":"yes"}]}`,
		`{"checks":[{"band":8}]}`, `{"checks":[{"band":-1}]}`, `{"assurance":"strong"}`, `{"attestation":"sworn"}`,
	} {
		var v verify.Verification
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("Unmarshal(%s) = nil, want an error", bad)
		}
	}
}

func TestPersonalDataAndScoresCannotBeLogged(t *testing.T) {
	v := approved(t)
	v.History[0].Comment = "Zanzibarowska called"
	evidence := genuine()
	evidence.FaceMatch.Score = 0.8765
	evidence.Liveness.Signals = moire(0.8765, 0.5)
	field := v.Extracted["surname"]

	var out bytes.Buffer
	// Without the time, whose digits may be any.
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, timeless), slog.NewJSONHandler(&out, timeless)} {
		slog.New(handler).Info("all", "v", v, "pointer", &v, "evidence", evidence, "value", field.Value, "score", evidence.FaceMatch.Score)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%f"} {
		for _, value := range []any{v, &v, v.Extracted, v.History, field, field.Value, evidence, *evidence.FaceMatch, *evidence.Liveness} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	for _, secret := range []string{"Zanzibarowska", "5a616e7a", "0.8765", "8765"} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
			t.Errorf("%q appears in the log\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), id) {
		t.Errorf("the log does not name the verification %s", id)
	}
}

func TestAScoreCannotBeMarshalled(t *testing.T) {
	if out, err := json.Marshal(genuine()); !errors.Is(err, verify.ErrScore) {
		t.Errorf("Marshal(evidence) = %s, %v, want ErrScore", out, err)
	}
}

func TestAnExaminationThatEndsAfterACancellationDecidesNothing(t *testing.T) {
	v := submitted(t)
	if err := v.Apply(event(verify.Cancel, verify.Integrator)); err != nil {
		t.Fatal(err)
	}
	before := v
	err := v.Conclude(verify.Decision{
		Status: verify.Approved, Confidence: 99, Policy: "p1", Checks: []verify.Check{{Name: verify.FaceMatch, Result: verify.True}},
	}, noon)
	if !errors.Is(err, verify.ErrNotAllowed) || !reflect.DeepEqual(v, before) {
		t.Errorf("Conclude after cancel = %v and %s, want ErrNotAllowed and no change", err, v)
	}
}

func TestConcludeIsTheEnginesOnly(t *testing.T) {
	v := submitted(t)
	if err := v.Apply(event(verify.ConcludeApproved, verify.Admin)); !errors.Is(err, verify.ErrNotAllowed) {
		t.Errorf("Apply(conclude_approved) = %v, want ErrNotAllowed", err)
	}
	if err := v.Conclude(verify.Decision{Status: verify.Cancelled}, noon); !errors.Is(err, verify.ErrNotAllowed) {
		t.Errorf("Conclude(cancelled) = %v, want ErrNotAllowed", err)
	}
}

func TestAMachineryFailureCanBeRetried(t *testing.T) {
	v := submitted(t)
	if err := v.Conclude(verify.Failed(verify.CameraFrozen), noon); err != nil {
		t.Fatal(err)
	}
	if v.Status != verify.Error || v.Verdict != verify.VerdictUnknown {
		t.Errorf("Conclude(Failed) = %s, want status error, verdict unknown", v)
	}
	if err := v.Apply(event(verify.Retry, verify.Operator)); err != nil || v.Status != verify.Submitted || v.Attempts != 2 {
		t.Errorf("retry = %v, %s, attempts %d, want submitted, 2", err, v.Status, v.Attempts)
	}
}

func TestAPersonsDecisionKeepsTheMachinesBesideIt(t *testing.T) {
	v := approved(t)
	machine := v.Confidence
	reject := event(verify.OverruleRejected, verify.Centre)
	reject.Reasons = []verify.Reason{verify.FaceDiffers}
	if err := v.Apply(reject); err != nil {
		t.Fatal(err)
	}
	if v.Verdict != verify.VerdictFalse || !v.Final || v.DecidedBy.Role != verify.Centre {
		t.Errorf("overruled = %s, final %v, by %s, want false, final, by the centre", v, v.Final, v.DecidedBy.Role)
	}
	if v.Confidence < 95 || v.MachineConfidence != machine {
		t.Errorf("confidence = %d, machine %d, want at least 95, machine %d", v.Confidence, v.MachineConfidence, machine)
	}
	actions := make([]verify.Action, len(v.History))
	for i, e := range v.History {
		actions[i] = e.Action
	}
	if want := []verify.Action{verify.Submit, verify.ConcludeApproved, verify.OverruleRejected}; !slices.Equal(actions, want) {
		t.Errorf("history = %v, want %v", actions, want)
	}
}

func TestARejectionByAPersonNeedsAReason(t *testing.T) {
	v := submitted(t)
	if err := v.Apply(event(verify.Reject, verify.Reviewer)); !errors.Is(err, verify.ErrReasonRequired) || v.Status != verify.Submitted {
		t.Errorf("Apply(reject) = %v, %s, want ErrReasonRequired, submitted", err, v.Status)
	}
	reject := event(verify.Reject, verify.Reviewer)
	reject.Comment = "not the person"
	if err := v.Apply(reject); err != nil || v.Verdict != verify.VerdictFalse {
		t.Errorf("Apply(reject with comment) = %v, %s, want rejected", err, v)
	}
}

func TestADeclineCarriesItsReason(t *testing.T) {
	v := verify.New(id, noon, verify.Request{})
	if err := v.Apply(event(verify.Decline, verify.Subject)); err != nil {
		t.Fatal(err)
	}
	if v.Status != verify.Rejected || !slices.Equal(v.Reasons, []verify.Reason{verify.DeclinedBySubject}) {
		t.Errorf("declined = %s, %v, want rejected, declined_by_subject", v.Status, v.Reasons)
	}
}

func TestATombstoneHoldsNothingAboutThePerson(t *testing.T) {
	v := approved(t)
	overrule := event(verify.OverruleRejected, verify.Centre)
	overrule.Comment = "Zanzibarowska is known to us"
	for _, e := range []verify.Event{overrule, event(verify.Delete, verify.Admin)} {
		if err := v.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"Zanzibarowska", "id_card", string(verify.FaceMatches)} {
		if bytes.Contains(got, []byte(secret)) {
			t.Errorf("the tombstone %s holds %q", got, secret)
		}
	}
	if v.ID != id || v.Status != verify.Deleted {
		t.Errorf("the tombstone is %s, want id and status deleted", v)
	}
}

func TestCopiesDoNotShareHistory(t *testing.T) {
	a := submitted(t)
	// Three events: an unclipped slice would have room for a fourth.
	for _, action := range []verify.Action{verify.Hold, verify.Resume} {
		if err := a.Apply(event(action, verify.Operator)); err != nil {
			t.Fatal(err)
		}
	}
	b := a
	if err := a.Apply(event(verify.Cancel, verify.Operator)); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(event(verify.Hold, verify.Operator)); err != nil {
		t.Fatal(err)
	}
	if got := a.History[3].Action; got != verify.Cancel {
		t.Errorf("the copy's hold overwrote the cancel: %s", got)
	}
}
