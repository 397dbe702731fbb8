//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/edgeverify/edgeverify/firmware/identity"
	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

const leastQuota = "outbox:\n  quota: 4194304\n"

// fill leaves room for few records in the outbox of a device that does not
// run, and returns how many it put in.
func fill(t *testing.T, d *device) (n int) {
	t.Helper()
	keys, err := identity.Open(filepath.Join(d.data, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.Sealer("outbox")
	if err != nil {
		t.Fatal(err)
	}
	box, err := outbox.Open(t.Context(), filepath.Join(d.data, "outbox"), outbox.Options{
		Tenant: "e2e", Device: keys.Device(), Signer: keys.Signer(), Sealer: sealer, Quota: 4 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}()
	// At most 80 % of so small a quota is for records; a few outcomes still fit.
	for {
		stats, err := box.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.Used > stats.Quota*78/100 {
			return n
		}
		if err := put(t.Context(), box); err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// exhaust verifies until that is refused, and returns the outcomes shown.
func exhaust(t *testing.T, d *device, selfie []byte) (shown []string) {
	t.Helper()
	for {
		v, err := d.verify(request{Selfie: selfie})
		if err != nil {
			if !strings.Contains(err.Error(), "503: out of service") {
				t.Fatalf("POST /verify with a full outbox, after %d more outcomes: %v, want 503, out of service", len(shown), err)
			}
			t.Logf("%d more outcomes were shown, then: %v", len(shown), err)
			return shown
		}
		if shown = append(shown, v.ID); len(shown) > 500 {
			t.Fatalf("the outbox does not become full")
		}
	}
}

// put stores an outcome of an earlier day.
func put(ctx context.Context, box *outbox.Box) error {
	body := record.Body{
		WallMs: time.Now().UnixMilli(), BootID: newID(), ClockQ: "synced", Verification: newID(),
		Status: "approved", Decision: "match", Agent: "e2e", Assurance: "low",
	}
	for range 60 {
		body.Reasons = append(body.Reasons, strings.Repeat("r", 64))
	}
	encoded, err := body.Encode()
	if err != nil {
		return err
	}
	_, err = box.Put(ctx, newID(), record.Verification, encoded)
	return err
}

func TestFullOutboxIsOutOfServiceAndRecoversWithoutLoss(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	centre := newCollector(t)
	d := newDevice(t, inAHurry+leastQuota+centre.uplink())
	centre.introduce(d)
	filled := fill(t, d)

	d.configure(inAHurry + leastQuota) // no uplink
	daemon := d.start()
	shown := exhaust(t, d, a.genuine)
	selfie := d.file("selfie.jpg", a.genuine)
	for _, args := range [][]string{{"verify", "--selfie", selfie, "--json"}, {"enroll", "--selfie", selfie, "--account", "4711", "--json"}} {
		r := d.run(args...)
		r.want(t, 2, "out of service")
		if r.stdout != "" {
			t.Errorf("%v\nwant nothing shown", r)
		}
	}
	h := d.health()
	if h.State != "out_of_service" || !h.Outbox.Full || h.Outbox.Pending != 1 || len(h.Faults) == 0 {
		t.Errorf("GET /health: %+v, want out_of_service with 1 outcome pending", h)
	}
	t.Logf("%d records were filled in; health says %v", filled, h.Faults)
	if code, _ := daemon.stop(t); code != 0 {
		t.Errorf("SIGTERM out of service: exit %d, want 0", code)
	}

	// Out of service survives a restart, and ends without one once there is a link.
	d.configure(inAHurry + leastQuota + centre.uplink())
	centre.kill()
	d.start()
	if _, err := d.verify(request{Selfie: a.genuine}); err == nil || !strings.Contains(err.Error(), "out of service") {
		t.Errorf("POST /verify after a restart: %v, want out of service", err)
	}
	centre.start()
	start := time.Now()
	await(t, "the device is in service again", func() error {
		v, err := d.verify(request{Selfie: a.genuine})
		if err == nil {
			shown = append(shown, v.ID)
		}
		return err
	})
	t.Logf("in service again %v after the collector came", time.Since(start).Round(time.Millisecond))
	d.drained()
	if h := d.health(); h.State == "out_of_service" || h.Outbox.Full {
		t.Errorf("GET /health: %+v, want it in service", h)
	}
	all := centre.mustRecords()
	dense(t, all)
	// One outcome was decided and could not be shown: it arrives like the others.
	if want := filled + len(shown) + 1; len(all) != want {
		t.Errorf("%d records at the collector, want %d: %d filled in, %d shown, 1 pending", len(all), want, filled, len(shown))
	}
	at := map[string]int{}
	for i, r := range all {
		at[r.Summary.Verification] = i
	}
	for _, id := range shown {
		if _, arrived := at[id]; !arrived {
			t.Errorf("verification %s was shown and never arrived", id)
		}
	}
	pending := all[len(all)-2].Summary // before the first outcome after the recovery
	var kept verification
	if err := d.ask("GET", "/verification/"+pending.Verification, nil, &kept); err != nil || kept.Status != pending.Status {
		t.Errorf("GET /verification of the pending outcome: %+v, %v, want it visible as %s", kept, err, pending.Status)
	}
}

func TestRaisedQuotaEndsOutOfService(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, inAHurry+leastQuota)
	d.run("keys", "show").want(t, 0)
	fill(t, d)
	daemon := d.start()
	exhaust(t, d, a.genuine)
	daemon.stop(t)
	selfie := d.file("selfie.jpg", a.genuine)
	d.run("verify", "--selfie", selfie).want(t, 2, "out of service", "outbox is full")
	d.configure(inAHurry + "outbox:\n  quota: 8388608\n")
	d.run("verify", "--selfie", selfie).want(t, 0)
	if s := d.stats(); s.Pending != 0 || s.Full {
		t.Errorf("outbox stats: %+v, want nothing pending", s)
	}
}

// A quota that the outbox would refuse is refused with the key's name.
func TestQuotaThatIsTooSmallIsNamed(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "outbox:\n  quota: 2097152\n")
	d.run("outbox", "stats").want(t, 2, "outbox.quota")
	if _, err := os.Stat(filepath.Join(d.data, "keys")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder was begun with a bad configuration: %v", err)
	}
}

// newID is an id as records have it: a UUIDv7.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
