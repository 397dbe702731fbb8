//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

func TestSecondDaemonOnADataFolderSaysSoAndExits(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "")
	d.start()
	second := d.run("run")
	second.want(t, 2, "in use by another process")
	t.Logf("the second daemon ended after %v", second.took)
	// The first has lost neither its folder nor its socket.
	if h := d.health(); h.State == "out_of_service" {
		t.Errorf("GET /health of the first: %+v, want it in service", h)
	}
}

func TestCommandsGoThroughTheDaemonOrOpenTheFolder(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, inAHurry)
	selfie := d.file("selfie.jpg", a.genuine)
	verifying := func() {
		t.Helper()
		d.run("verify", "--selfie", selfie).want(t, 0, "APPROVED")
	}
	verifying()
	if s := d.stats(); s.Queued != 1 || s.NextSeq != 2 {
		t.Errorf("outbox stats without a daemon: %+v, want 1 queued", s)
	}
	daemon := d.start()
	verifying()
	if s := d.stats(); s.Queued != 2 || s.NextSeq != 3 {
		t.Errorf("outbox stats beside the daemon: %+v, want 2 queued", s)
	}
	d.run("doctor").says(t, "the daemon ")
	if s := d.health().Outbox; s.Queued != 2 {
		t.Errorf("GET /health: %+v, want the record of the command too", s)
	}
	daemon.kill()
	// The socket of a daemon that was killed is still there and serves nobody.
	if err := d.ask(http.MethodGet, "/health", nil, nil); err == nil {
		t.Fatal("GET /health of a killed daemon: an answer")
	}
	verifying()
	d.run("outbox", "ls").want(t, 0, "verification")
	d.run("outbox", "show", "3").want(t, 0, `"raw"`, `"payload"`)
	d.run("outbox", "show", "4").want(t, 2, "no such record")
}

// Commands that start together without a daemon: one opens the folder, the
// others reach it through that one or are told that it is in use.
func TestCommandsAtTheSameTimeShowWhatTheyRecord(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, inAHurry)
	selfie := d.file("selfie.jpg", a.genuine)
	const rounds, together = 5, 3
	shown := 0
	ends := map[string]int{}
	for range rounds {
		results := make([]result, together)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() { results[i] = d.run("verify", "--selfie", selfie) })
		}
		all.Wait()
		for _, r := range results {
			ends[fmt.Sprint("exit ", r.code)]++
			if r.code == 0 {
				shown++
			} else {
				r.want(t, 2, "use")
			}
		}
	}
	if s := d.stats(); s.Queued != shown || s.Pending != 0 || shown < rounds {
		t.Errorf("outbox stats: %+v, want the %d outcomes shown, at least %d", s, shown, rounds)
	}
	t.Logf("%d commands: %v", rounds*together, ends)
}
