//go:build e2e

package e2e

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var errRuns = errors.New("it still runs")

// builtDemo builds the demonstration as make run does, beside the program.
func builtDemo(t *testing.T) string {
	t.Helper()
	dir := folder(t)
	if out, err := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "demo"), "../cmd/demo").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	if out, err := exec.Command("ln", "-s", program(t), filepath.Join(dir, "edgeverify")).CombinedOutput(); err != nil {
		t.Fatalf("ln: %v: %s", err, out)
	}
	return filepath.Join(dir, "demo")
}

func TestDemonstrationShowsOneApprovedAndTwoRejected(t *testing.T) {
	t.Parallel()
	log := filepath.Join(folder(t), "demo.log")
	p := begin(t, builtDemo(t), log, nil)
	await(t, "the demonstration ends", func() error {
		if !p.ended() {
			return errRuns
		}
		return nil
	})
	text := p.output(t)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("demo: exit %d, want 0: %s", code, text)
	}
	inOrder(t, text, "  approved, verdict true", "  rejected, verdict false", "  rejected, verdict false", "At the collector", "outbox is empty")
}

func TestDemonstrationThatStaysEndsBySIGTERM(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	p := begin(t, builtDemo(t), filepath.Join(dir, "demo.log"), nil, "--stay", "--keep", dir)
	await(t, "the demonstration stays", func() error {
		if p.ended() {
			t.Fatalf("demo --stay ended: %s", p.output(t))
		}
		if !strings.Contains(p.output(t), "The daemon stays") {
			return errRuns
		}
		return nil
	})
	data := filepath.Join(dir, "data")
	finish(t, nil, "--data", data, "outbox", "stats").want(t, 0, "queued 0")
	code, took := p.stop(t)
	if code != 0 || took > stopLimit {
		t.Errorf("SIGTERM: exit %d after %v, want 0 within %v: %s", code, took, stopLimit, tail(p.output(t)))
	}
	// The daemon has let go of its folder; the collector is gone as well.
	finish(t, nil, "--data", data, "--config", filepath.Join(dir, "edgeverify.yaml"), "doctor").want(t, 2, "no daemon runs", "FAIL  uplink")
	t.Logf("the stop took %v", took)
}

// inOrder fails unless text holds the words one after another.
func inOrder(t *testing.T, text string, words ...string) {
	t.Helper()
	rest := text
	for _, word := range words {
		_, after, found := strings.Cut(rest, word)
		if !found {
			t.Fatalf("%q does not follow in %s", word, text)
		}
		rest = after
	}
}
