package outbox_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// kills returns how many processes a crash test kills: OUTBOX_KILLS, or n.
func kills(t *testing.T, n int) int {
	t.Helper()
	s := os.Getenv("OUTBOX_KILLS")
	if s == "" {
		return n
	}
	k, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("OUTBOX_KILLS: %v", err)
	}
	return k
}

// killAfter runs the child on dir, kills it d after its first sign of
// life, or right after its start if eager, and returns what it had printed.
func killAfter(t *testing.T, job, dir string, d time.Duration, eager bool) string {
	t.Helper()
	cmd := child(job, dir)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(pipe)
	if !eager {
		if _, err := r.Peek(1); err != nil {
			t.Fatalf("child wrote nothing: %v", err)
		}
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, which is an error by design
	return string(out)
}

// TestKilledWriterLosesNothingAcknowledged kills a writer again and again on one
// folder. What it printed was acknowledged: every number must be there with
// that digest, or have been settled.
func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	rng, seed := seeded(t)
	acked := map[uint64]string{}
	settling := map[uint64]bool{}
	n := kills(t, 40)
	var slowest time.Duration
	for range n {
		out := killAfter(t, "write", dir, time.Duration(5+rng.IntN(146))*time.Millisecond, false)
		for line := range strings.Lines(out) {
			if !strings.HasSuffix(line, "\n") {
				continue // cut by the kill
			}
			var seq uint64
			var digest string
			if _, err := fmt.Sscanf(line, "put %d %s", &seq, &digest); err == nil {
				if old, ok := acked[seq]; ok {
					t.Fatalf("seed %d: seq %d given twice: %s, %s", seed, seq, old, digest)
				}
				acked[seq] = digest
			} else if _, err := fmt.Sscanf(line, "settle %d", &seq); err == nil {
				settling[seq] = true
			} else {
				t.Fatalf("child says %q", line)
			}
		}
		began := time.Now()
		b := openBox(t, dir)
		slowest = max(slowest, time.Since(began))
		mustCheck(t, b)
		present := map[uint64]string{}
		list, err := b.List(t.Context(), 0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			present[e.Seq] = fmt.Sprintf("%x", e.Digest)
			if e.Quarantine != "" {
				t.Errorf("seed %d: seq %d in quarantine: %s", seed, e.Seq, e.Quarantine)
			}
		}
		for seq, digest := range acked {
			if present[seq] != digest && !settling[seq] {
				t.Fatalf("seed %d: acknowledged seq %d has digest %q, want %s", seed, seq, present[seq], digest)
			}
		}
		closeBox(t, b)
	}
	t.Logf("%d kills, %d acknowledged puts, 0 missing, slowest open %v", n, len(acked), slowest)
	if slowest > 500*time.Millisecond {
		t.Errorf("slowest open after a kill %v, want 50 ms, and at most ten times that here", slowest)
	}
}

// TestKillWhileCreatingLeavesAFolderThatOpens kills processes in the first
// milliseconds of a new folder.
func TestKillWhileCreatingLeavesAFolderThatOpens(t *testing.T) {
	rng, seed := seeded(t)
	created := 0
	for range kills(t, 30) {
		dir := t.TempDir()
		killAfter(t, "write", dir, time.Duration(rng.IntN(30_000))*time.Microsecond, true)
		if _, err := os.Stat(filepath.Join(dir, "outbox.db")); err == nil {
			created++
		}
		b, err := outbox.Open(t.Context(), dir, options(t))
		if err != nil {
			t.Fatalf("seed %d: Open after a kill: %v", seed, err)
		}
		p := mustPut(t, b, `{}`)
		if p.Epoch < 1 || p.Epoch > 2 {
			t.Errorf("seed %d: epoch %d, want 1, or 2 where the first was given and not used", seed, p.Epoch)
		}
		mustCheck(t, b)
		closeBox(t, b)
	}
	t.Logf("%d of the folders held a store when the process died", created)
}

func seeded(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// TestInterruptedCreationIsMadeAgain leaves what a power cut leaves between the
// steps of making a store.
func TestInterruptedCreationIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"outbox.db.new": "half a store", "outbox.epoch": "1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := openBox(t, dir)
	defer closeBox(t, b)
	if p := mustPut(t, b, `{}`); p.Epoch != 2 || p.Seq != 1 {
		t.Errorf("position = %+v, want epoch 2, seq 1", p)
	}
	if _, err := os.Stat(filepath.Join(dir, "outbox.db.new")); !os.IsNotExist(err) {
		t.Errorf("outbox.db.new is still there: %v", err)
	}
}

func TestUnreadableEpochIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "outbox.epoch"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Open(t.Context(), dir, options(t)); err == nil || !strings.Contains(err.Error(), "outbox.epoch") {
		t.Errorf("Open = %v, want an error naming outbox.epoch", err)
	}
}

// records collects what Due gives, verified against what was put.
func recordsOf(t *testing.T, b *outbox.Box) map[uint64]outbox.Item {
	t.Helper()
	m := map[uint64]outbox.Item{}
	for _, it := range allDue(t, b) {
		if _, err := record.Verify(it.Raw, keys); err != nil {
			t.Errorf("seq %d: %v", it.Seq, err)
		}
		m[it.Seq] = it
	}
	return m
}
