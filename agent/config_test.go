package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edgeverify.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheFileOverridesDefaultsAndTheEnvironmentOverridesTheFile(t *testing.T) {
	path := configFile(t, `
data: /srv/kiosk
tenant: first-bank
policy:
  face_match: {fmr: 0.01}
  least: [face_match]
camera: {frames: 9}
uplink: {spread: 30s}
`)
	c, err := LoadConfig(path, []string{
		"EDGEVERIFY_TENANT=second-bank", "EDGEVERIFY_CAMERA_FRAMES=11", "EDGEVERIFY_UPLINK_SPREAD=5s",
		"EDGEVERIFY_POLICY_LEAST=quality, liveness", "EDGEVERIFY_POLICY_ACCEPT_UNATTESTED=false", "EDGEVERIFY_CONFIG=x", "HOME=/root",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/srv/kiosk" || c.Tenant != "second-bank" || c.Camera.Frames != 11 || c.Uplink.Spread != 5*time.Second {
		t.Errorf("LoadConfig: got %+v", c)
	}
	if !slices.Equal(c.Policy.Least, []string{"quality", "liveness"}) || c.Policy.AcceptUnattested || c.Policy.FaceMatch.FMR != 0.01 {
		t.Errorf("LoadConfig: got policy %+v", c.Policy)
	}
	if c.Camera.Width != 1280 || c.Outbox.Quota != 1<<30 {
		t.Errorf("LoadConfig: got %+v, want the defaults where nothing is said", c)
	}
}

func TestWithoutAFileTheDefaultsHold(t *testing.T) {
	c, err := LoadConfig("", nil)
	if err != nil {
		t.Fatalf("LoadConfig: %v", err)
	}
	if c.Policy.FaceMatch.FMR != 1e-3 || c.Policy.Liveness != "still" || c.Uplink.URL != "" || c.Uplink.Spread != 120*time.Second {
		t.Errorf("LoadConfig: got %+v", c)
	}
	if _, err := LoadConfig(configFile(t, "# nothing\n"), nil); err != nil {
		t.Errorf("LoadConfig of an empty file: %v, want the defaults", err)
	}
}

func TestEveryFaultOfSpellingIsReportedWithItsLine(t *testing.T) {
	_, err := LoadConfig(configFile(t, "tenat: bank\ncamera:\n  framse: 9\n  width: wide\nuplink: {spread: 5}\n---\nmore: 1\n"),
		[]string{"EDGEVERIFY_UPLNK_URL=https://x"})
	for _, want := range []string{
		"line 1: tenat: no such key", "line 3: camera.framse: no such key", "line 4: camera.width: a number",
		"line 5: uplink.spread: a time such as 5s", "a second document", "EDGEVERIFY_UPLNK_URL: no such key",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("LoadConfig: got %v, want it to say %q", err, want)
		}
	}
}

func TestEveryFaultIsReportedAtOnceWithItsKey(t *testing.T) {
	_, err := LoadConfig(configFile(t, `
data: relative/folder
tenant: ""
health: 0.0.0.0:80
policy:
  face_match: {fmr: 0.002}
camera: {frames: 0}
inference: {threads: 0}
outbox: {quota: 7}
uplink: {url: "ftp://user:secret@host", certificate: c.pem, spread: 48h}
`), []string{"EDGEVERIFY_CAMERA_WIDTH=wide"})
	if err == nil {
		t.Fatal("LoadConfig: got nil, want errors")
	}
	for _, key := range []string{
		"data", "tenant", "health", "policy", "camera.frames", "inference.threads", "outbox.quota",
		"uplink.url", "uplink.collector_keys", "uplink:", "uplink.spread", "EDGEVERIFY_CAMERA_WIDTH",
	} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("LoadConfig: %q does not name %s", err, key)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("LoadConfig: %q repeats a credential", err)
	}
}

func TestAFalseMatchRateThatWasNotMeasuredIsRefusedByNamingThoseThatWere(t *testing.T) {
	_, err := LoadConfig(configFile(t, "policy: {face_match: {fmr: 0.0001}}\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "0.001") || !strings.Contains(err.Error(), "0.01") {
		t.Errorf("LoadConfig: got %v, want the measured rates 0.001 and 0.01 named", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("tenant: bank\n"))
	f.Add([]byte("policy: {least: [face_match, liveness], face_match: {fmr: 1e-3}}"))
	f.Add([]byte("uplink:\n  url: https://collector.example\n  spread: 2m\n"))
	f.Add([]byte("data: [1"))
	f.Add([]byte("a: &a [*a, *a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := DefaultConfig()
		if err := c.parse(text); err != nil {
			return
		}
		_ = c.validate() // whatever parses is judged without a panic
	})
}
