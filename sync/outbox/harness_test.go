package outbox_test

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// aesGCM is the smallest true Sealer.
type aesGCM struct{ aead cipher.AEAD }

func newSealer(tb testing.TB) outbox.Sealer {
	tb.Helper()
	block, err := aes.NewCipher([]byte("a key of thirty-two bytes, fixed"))
	if err != nil {
		tb.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		tb.Fatal(err)
	}
	return aesGCM{aead}
}

func (s aesGCM) Seal(p, aad []byte) ([]byte, error) { return s.aead.Seal(nil, nil, p, aad), nil }
func (s aesGCM) Open(c, aad []byte) ([]byte, error) { return s.aead.Open(nil, nil, c, aad) }

func signer() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes fixed"))
}

func keys(kid string) (crypto.PublicKey, error) {
	pub := signer().Public()
	if id, err := record.KeyID(pub); err != nil || id != kid {
		return nil, record.ErrUnknownKey
	}
	return pub, nil
}

func options(tb testing.TB) outbox.Options {
	tb.Helper()
	return outbox.Options{
		Tenant: "bank", Device: "kiosk-7", Signer: signer(), Sealer: newSealer(tb), Quota: 16 << 20,
	}
}

func openBox(tb testing.TB, dir string) *outbox.Box {
	tb.Helper()
	b, err := outbox.Open(tb.Context(), dir, options(tb))
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return b
}

func closeBox(tb testing.TB, b *outbox.Box) {
	tb.Helper()
	if err := b.Close(); err != nil {
		tb.Errorf("Close: %v", err)
	}
}

func newRID(tb testing.TB) string {
	tb.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		tb.Fatal(err)
	}
	return id.String()
}

func mustPut(tb testing.TB, b *outbox.Box, body string) outbox.Position {
	tb.Helper()
	pos, err := b.Put(context.Background(), newRID(tb), record.Verification, []byte(body))
	if err != nil {
		tb.Fatalf("Put: %v", err)
	}
	return pos
}

func allDue(tb testing.TB, b *outbox.Box) []outbox.Item {
	tb.Helper()
	items, err := b.Due(context.Background(), time.Now(), 1<<20, 1<<30)
	if err != nil {
		tb.Fatalf("Due: %v", err)
	}
	return items
}

func ack(p outbox.Position, s record.AckStatus) record.Acknowledgement {
	return record.Acknowledgement{Epoch: p.Epoch, Seq: p.Seq, Digest: p.Digest, Status: s}
}

func mustSettle(tb testing.TB, b *outbox.Box, acks ...record.Acknowledgement) outbox.Settled {
	tb.Helper()
	s, err := b.Settle(context.Background(), acks)
	if err != nil {
		tb.Fatalf("Settle: %v", err)
	}
	return s
}

func mustCheck(tb testing.TB, b *outbox.Box) {
	tb.Helper()
	if err := b.Check(context.Background()); err != nil {
		tb.Errorf("Check() = %v, want nil", err)
	}
}

// verifyChain checks that items are the records of one epoch, dense from first
// on, each signed and each naming its predecessor.
func verifyChain(tb testing.TB, items []outbox.Item, first uint64) {
	tb.Helper()
	prev := ""
	for i, it := range items {
		e, err := record.Verify(it.Raw, keys)
		if err != nil {
			tb.Fatalf("item %d: %v", i, err)
		}
		if e.Seq != first+uint64(i) || it.Seq != e.Seq || e.RID != it.RID || e.Kind != it.Kind {
			tb.Fatalf("item %d: seq %d (envelope %d), want %d", i, it.Seq, e.Seq, first+uint64(i))
		}
		if (i > 0 || first == 1) && e.Prev != prev {
			tb.Fatalf("item %d: prev %q, want %q", i, e.Prev, prev)
		}
		if it.Digest != record.Digest(it.Raw) {
			tb.Fatalf("item %d: digest is not that of its bytes", i)
		}
		prev = record.FormatDigest(it.Digest)
	}
}

// child runs this test binary again, doing one job on a folder.
func child(job, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "OUTBOX_CHILD="+job, "OUTBOX_DIR="+dir)
	return cmd
}

// TestMain lets the binary be the child of a crash test.
func TestMain(m *testing.M) {
	switch job := os.Getenv("OUTBOX_CHILD"); job {
	case "":
		// Every step of the model commits to the disk: fewer runs by default.
		if err := flag.Set("rapid.checks", "20"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		if err := runChild(job, os.Getenv("OUTBOX_DIR")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

func runChild(job, dir string) error {
	block, err := aes.NewCipher([]byte("a key of thirty-two bytes, fixed"))
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	b, err := outbox.Open(context.Background(), dir, outbox.Options{
		Tenant: "bank", Device: "kiosk-7", Signer: signer(), Sealer: aesGCM{aead}, Quota: 64 << 20,
	})
	if err != nil {
		return err
	}
	if job == "open" {
		return b.Close()
	}
	if job == "compact" {
		return compactOne(b)
	}
	// Job "write": put and settle for ever, and print each number once it is
	// acknowledged, or settled.
	for i := 0; ; i++ {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		body, err := json.Marshal(map[string]string{"pad": rand.Text()})
		if err != nil {
			return err
		}
		pos, err := b.Put(context.Background(), id.String(), record.Verification, body)
		if err != nil {
			return err
		}
		fmt.Printf("put %d %x\n", pos.Seq, pos.Digest)
		if i%5 == 4 {
			fmt.Printf("settle %d\n", pos.Seq)
			if _, err := b.Settle(context.Background(), []record.Acknowledgement{ack(pos, record.Stored)}); err != nil {
				return err
			}
		}
	}
}

// compactOne fills a store, settles all but some records, prints those, and
// compacts.
func compactOne(b *outbox.Box) error {
	const all, keep = 1024, 8
	puts := make([]outbox.Position, all)
	var group errgroup.Group
	for i := range puts {
		group.Go(func() error {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			puts[i], err = b.Put(context.Background(), id.String(), record.Verification, padded())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var acks []record.Acknowledgement
	for _, p := range puts[keep:] {
		acks = append(acks, ack(p, record.Stored))
	}
	if _, err := b.Settle(context.Background(), acks); err != nil {
		return err
	}
	var lines []byte
	for _, p := range puts[:keep] {
		lines = fmt.Appendf(lines, "kept %d %x\n", p.Seq, p.Digest)
	}
	if _, err := os.Stdout.Write(lines); err != nil {
		return err
	}
	worth, err := b.Compact(context.Background())
	if err != nil || !worth {
		return fmt.Errorf("compact: %t, %w", worth, err)
	}
	fmt.Println("compacted")
	return nil
}
