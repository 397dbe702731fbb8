package verify

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// UnmarshalText accepts exactly what MarshalText writes.
func (v *Verdict) UnmarshalText(text []byte) error {
	for _, known := range []Verdict{VerdictUnknown, VerdictFalse, VerdictTrue} {
		if known.String() == string(text) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("verdict %q: %w; known are true false unknown", text, ErrUnknownName)
}

// checkJSON is the wire shape of a Check. Fields are added, never renamed.
type checkJSON struct {
	Name           CheckName    `json:"name"`
	Result         Result       `json:"result"`
	Reasons        []Reason     `json:"reasons"`
	Reasoning      string       `json:"reasoning"`
	Band           Band         `json:"band"`
	DurationMS     float64      `json:"duration_ms"`
	OperatingPoint string       `json:"operating_point,omitempty"`
	Rate           float64      `json:"rate,omitempty"`
	Model          string       `json:"model,omitempty"`
	Strength       Strength     `json:"strength,omitempty"`
	Attestation    *Attestation `json:"attestation,omitempty"` // liveness only
}

// MarshalJSON writes the wire shape: result is a string.
func (c Check) MarshalJSON() ([]byte, error) {
	w := checkJSON{
		Name: c.Name, Result: c.Result, Reasons: nonNil(c.Reasons), Reasoning: c.Reasoning, Band: c.Band,
		DurationMS: milliseconds(c.Duration), OperatingPoint: c.OperatingPoint, Rate: c.Rate,
		Model: c.Model, Strength: c.Strength,
	}
	if c.Strength != NoLiveness {
		w.Attestation = &c.Attestation
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Check) UnmarshalJSON(data []byte) error {
	var w checkJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if w.Band > 7 {
		return fmt.Errorf("check %s: band %d is above 7", w.Name, w.Band)
	}
	*c = Check{
		Name: w.Name, Result: w.Result, Reasons: w.Reasons, Reasoning: w.Reasoning, Band: w.Band,
		Duration: duration(w.DurationMS), OperatingPoint: w.OperatingPoint, Rate: w.Rate,
		Model: w.Model, Strength: w.Strength,
	}
	if w.Attestation != nil {
		c.Attestation = *w.Attestation
	}
	return nil
}

// verificationJSON is the wire shape of a Verification: what `verify --json`
// prints, what the vault seals. Fields are added, never renamed.
type verificationJSON struct {
	ID         string             `json:"id"`
	Status     Status             `json:"status"`
	Verdict    Verdict            `json:"verdict"`
	Confidence int                `json:"confidence"`
	Final      bool               `json:"final"`
	Reasons    []Reason           `json:"reasons"`
	Reasoning  string             `json:"reasoning"`
	Checks     []Check            `json:"checks"`
	Document   DocumentInfo       `json:"document"`
	Extracted  map[string]Field   `json:"extracted_data"`
	Models     []Model            `json:"models"`
	Timings    map[string]float64 `json:"timings_ms"`

	Created           time.Time    `json:"created"`
	Request           Request      `json:"request"`
	Held              Status       `json:"held,omitempty"`
	Attempts          int          `json:"attempts"`
	DecidedBy         *Actor       `json:"decided_by,omitempty"`
	MachineConfidence int          `json:"machine_confidence"`
	Assurance         Strength     `json:"assurance,omitempty"`
	Attestation       *Attestation `json:"attestation,omitempty"`
	Policy            string       `json:"policy"`
	OperatingPoints   []string     `json:"operating_points"`
	History           []Event      `json:"history"`
}

// MarshalJSON writes the wire shape. Verdict and results are strings ("true",
// "false", "unknown", …), because they have more than two values; lists and
// objects are never null; durations are milliseconds.
func (v Verification) MarshalJSON() ([]byte, error) {
	w := verificationJSON{
		ID: v.ID, Status: v.Status, Verdict: v.Verdict, Confidence: v.Confidence, Final: v.Final,
		Reasons: nonNil(v.Reasons), Reasoning: v.Reasoning, Checks: nonNil(v.Checks),
		Document: v.Document, Extracted: v.Extracted, Models: nonNil(v.Models),
		Timings: make(map[string]float64, len(v.Timings)),
		Created: v.Created.UTC(), Request: v.Request, Held: v.Held, Attempts: v.Attempts,
		MachineConfidence: v.MachineConfidence, Assurance: v.Assurance, Policy: v.Policy,
		OperatingPoints: nonNil(v.OperatingPoints()), History: nonNil(v.History),
	}
	w.Request.Inputs = nonNil(w.Request.Inputs)
	if w.Extracted == nil {
		w.Extracted = map[string]Field{}
	}
	for stage, d := range v.Timings {
		w.Timings[stage] = milliseconds(d)
	}
	if v.DecidedBy != (Actor{}) {
		w.DecidedBy = &v.DecidedBy
	}
	if v.Assurance != NoLiveness {
		w.Attestation = &v.Attestation
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes, now and in every earlier release.
func (v *Verification) UnmarshalJSON(data []byte) error {
	var w verificationJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("verification: %w", err)
	}
	*v = Verification{
		ID: w.ID, Created: w.Created, Request: w.Request, State: State{Status: w.Status, Held: w.Held},
		Attempts: w.Attempts, Verdict: w.Verdict, Confidence: w.Confidence, Final: w.Final,
		Reasons: w.Reasons, Reasoning: w.Reasoning, Checks: w.Checks,
		MachineConfidence: w.MachineConfidence, Assurance: w.Assurance, Policy: w.Policy,
		Document: w.Document, Extracted: w.Extracted, Models: w.Models, History: w.History,
		Timings: make(map[string]time.Duration, len(w.Timings)),
	}
	for stage, ms := range w.Timings {
		v.Timings[stage] = duration(ms)
	}
	if w.DecidedBy != nil {
		v.DecidedBy = *w.DecidedBy
	}
	if w.Attestation != nil {
		v.Attestation = *w.Attestation
	}
	return nil
}

// milliseconds rounds to whole microseconds: more digits would be noise.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// duration is the inverse of milliseconds.
func duration(ms float64) time.Duration {
	return time.Duration(math.Round(ms*1000)) * time.Microsecond
}

// nonNil makes a nil list an empty one, so that JSON never says null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
