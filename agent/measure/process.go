package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
)

// Startup is how a fresh process began.
type Startup struct {
	Ready  time.Duration // from before its start to its first finished examination
	RSSMiB Rate          // resident memory then
}

// readyLine is what a process writes when it is ready.
type readyLine struct {
	RSSMiB Rate `json:"rss_mib"`
}

// Ready is what a fresh process runs to be measured by Launch: it examines a
// drawn face with every face model and then writes one line to w.
func Ready(ctx context.Context, x *examine.Examiner, w io.Writer) error {
	file, err := encoded(portrait(160))
	if err != nil {
		return err
	}
	frame, err := capture.Decode(file, capture.Limits{})
	if err != nil {
		return err
	}
	found, err := x.Examine(ctx, examine.Request{
		Checks: []verify.CheckName{verify.Quality, verify.Liveness}, Probe: []*capture.Frame{frame}, Describe: true,
	})
	if err != nil {
		return err
	}
	if found.Probe == nil {
		return ErrNoFace
	}
	rss, _ := residentMemory()
	return json.NewEncoder(w).Encode(readyLine{rss})
}

// Launch starts cmd, a program that calls Ready with its standard output, and
// measures how long it takes until that line.
func Launch(cmd *exec.Cmd) (s Startup, err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return s, fmt.Errorf("launch: %w", err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return s, fmt.Errorf("launch: %w", err)
	}
	var line readyLine
	err = json.NewDecoder(out).Decode(&line)
	s = Startup{Ready: time.Since(start), RSSMiB: line.RSSMiB}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return Startup{}, fmt.Errorf("launch: %w", err)
	}
	return s, nil
}

// start is the median of several launches.
func (b *bench) start(ctx context.Context) (ready, rss Rate, err error) {
	if b.options.Launch == nil {
		return none(), none(), nil
	}
	var times, sizes []float64
	for range min(launches, b.options.Runs) {
		s, err := b.options.Launch(ctx)
		if err != nil {
			return none(), none(), err
		}
		times, sizes = append(times, milliseconds(s.Ready)), append(sizes, float64(s.RSSMiB))
	}
	return Rate(percentile(times, 0.5)), Rate(percentile(sizes, 0.5)), nil
}

// allocations counts what one call costs of Go memory, on average.
func allocations(run func() error) (allocs, bytes int64, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range allocRuns {
		if err := run(); err != nil {
			return 0, 0, err
		}
	}
	runtime.ReadMemStats(&after)
	return int64(after.Mallocs-before.Mallocs) / allocRuns, int64(after.TotalAlloc-before.TotalAlloc) / allocRuns, nil
}

// forgetPeak returns what is unused to the system and makes the kernel count the
// peak of resident memory anew (proc(5), clear_refs), so that it is that of the
// runs and not of drawing. Where that is not permitted the peak is higher.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// residentMemory is the process's memory now and at most, in MiB (proc(5), status).
func residentMemory() (now, peak Rate) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return none(), none()
	}
	return statusMiB(string(status), "VmRSS:"), statusMiB(string(status), "VmHWM:")
}

// statusMiB is the value of a line such as "VmRSS:	  1024 kB".
func statusMiB(status, key string) Rate {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, key)
		if !ok {
			continue
		}
		if kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64); err == nil {
			return Rate(kb / 1024)
		}
	}
	return none()
}
