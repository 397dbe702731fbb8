package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/sync/record"
)

// body states an outcome as the collector will read it: codes, bands and
// digests; no score, no image, nothing personal.
func (d *Device) body(v verify.Verification, camera *capture.Identity) ([]byte, error) {
	b, err := d.stamp()
	if err != nil {
		return nil, err
	}
	b.Verification, b.Status, b.Previous = v.ID, string(v.Status), previous(v)
	b.Verdict, b.Final, b.Confidence = v.Verdict.String(), v.Final, uint8(min(max(v.Confidence, 0), 100))
	b.Decision = decision(v.Verdict)
	b.Policy = record.SHA256(v.Policy)
	b.OperatingPoints = v.OperatingPoints()
	for _, r := range v.Reasons {
		b.Reasons = append(b.Reasons, string(r))
	}
	for _, c := range v.Checks {
		b.Checks = append(b.Checks, checkResult(c))
	}
	for _, m := range v.Models {
		b.Models = append(b.Models, record.SHA256(m.SHA256))
	}
	if v.Assurance != verify.NoLiveness {
		b.Strength = v.Assurance.String()
	}
	b.Camera = cameraID(camera)
	return b.Encode()
}

// stamp begins a body with the time, the clock's quality and who speaks.
func (d *Device) stamp() (record.Body, error) {
	now, err := d.clock.Now()
	if err != nil {
		return record.Body{}, err
	}
	return record.Body{
		WallMs: now.Wall.UnixMilli(), MonoNs: int64(now.Mono / time.Nanosecond), BootID: now.BootID,
		ClockQ: now.Quality.String(), ClockErrMs: now.ErrMs,
		Agent: d.build.Version, Assurance: d.keys.Assurance(),
	}, nil
}

// previous is the status before the latest change, as far as history tells.
func previous(v verify.Verification) string {
	if n := len(v.History); n > 0 {
		return string(v.History[n-1].From)
	}
	return ""
}

func decision(v verify.Verdict) string {
	switch v {
	case verify.VerdictTrue:
		return "match"
	case verify.VerdictFalse:
		return "no_match"
	}
	return "no_decision"
}

func checkResult(c verify.Check) record.CheckResult {
	out := record.CheckResult{Name: string(c.Name), Result: c.Result.String()}
	for _, r := range c.Reasons {
		out.Reasons = append(out.Reasons, string(r))
	}
	if c.OperatingPoint != "" {
		band := uint8(c.Band)
		out.Band = &band
	}
	if c.Strength != verify.NoLiveness {
		out.Strength, out.Attestation = c.Strength.String(), c.Attestation.String()
	}
	return out
}

// cameraID names a camera as the kernel does; empty for an upload.
func cameraID(c *capture.Identity) string {
	if c == nil {
		return ""
	}
	return strings.Trim(fmt.Sprintf("%s:%s:%s", c.Kind, c.Bus, c.Serial), ":")
}
