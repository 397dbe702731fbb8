package collector_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/record"
)

// readerEnv is set in the process that opens damaged copies of a store.
const readerEnv = "COLLECTOR_FLIP_TEST_DIR"

// readDamaged opens the collector in each folder of dir and says on one line
// what became of it. That it ends by itself is what the test wants to see.
func readDamaged(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, e := range entries {
		fmt.Println(e.Name(), readOne(filepath.Join(dir, e.Name())))
	}
}

func readOne(dir string) string {
	c, err := collector.Open(dir, collector.Options{})
	if errors.Is(err, collector.ErrDamaged) {
		return "damaged"
	}
	if err != nil {
		return "error " + err.Error()
	}
	defer c.Close()
	stored, err := c.Records(context.Background(), "", "", 0, 1000)
	if errors.Is(err, collector.ErrDamaged) {
		return "damaged"
	}
	if err != nil {
		return "error " + err.Error()
	}
	digests := []string{"read"}
	for _, s := range stored {
		digests = append(digests, record.FormatDigest(record.Digest(s.Raw)))
	}
	return strings.Join(digests, " ")
}

// TestAFlippedBitNeverEndsTheProcess opens copies of a store with one bit altered
// in another process, so that a crash shows.
func TestAFlippedBitNeverEndsTheProcess(t *testing.T) {
	const records, trials = 60, 300
	dir := t.TempDir()
	d := newDevice("kiosk-1")
	c, err := collector.Open(dir, collector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddDevice(d.tenant, d.name, d.public()); err != nil {
		t.Fatal(err)
	}
	var batch [][]byte
	sent := map[string]bool{}
	for range records {
		raw := d.next(t)
		batch = append(batch, raw)
		sent[record.FormatDigest(record.Digest(raw))] = true
	}
	s := httptest.NewServer(c.Handler())
	receipt(t, c, d, d.request(t, s.URL, batch...))
	s.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	signing, err := os.ReadFile(filepath.Join(dir, "receipt.key"))
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(good, "\x00"))
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	copies := t.TempDir()
	where := map[string]string{}
	for i := range trials {
		at, bit := rng.IntN(used), rng.IntN(8)
		if i%2 == 0 {
			at = at&^4095 + rng.IntN(256) // where the pages describe themselves
		}
		bad := bytes.Clone(good)
		bad[at] ^= 1 << bit
		name := fmt.Sprint(i)
		where[name] = fmt.Sprintf("byte %d bit %d", at, bit)
		if err := os.Mkdir(filepath.Join(copies, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copies, name, "receipt.key"), signing, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copies, name, "collector.db"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), readerEnv+"="+copies)
	var crash bytes.Buffer
	cmd.Stderr = &crash
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("seed %d: the process ended after %d of %d stores: %v\n%.2000s", seed, bytes.Count(out, []byte("\n")), trials, err, crash.String())
	}
	damaged, opened := 0, 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		switch words[1] {
		case "damaged":
			damaged++
		case "read":
			opened++
			for _, digest := range words[2:] {
				if !sent[digest] {
					t.Errorf("seed %d, %s: a record that was never sent", seed, where[words[0]])
				}
			}
		default:
			t.Errorf("seed %d, %s: %s, want ErrDamaged or what was sent", seed, where[words[0]], line)
		}
	}
	if damaged+opened != trials && !t.Failed() || damaged == 0 || opened == 0 {
		t.Errorf("seed %d: %d damaged and %d read of %d", seed, damaged, opened, trials)
	}
	t.Logf("%d bits: %d refused as damaged, %d opened", trials, damaged, opened)
}
