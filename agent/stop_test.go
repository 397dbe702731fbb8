package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/sync/outbox"
)

// A stop finds verifications in the middle of the runtime; freeing a model
// under one of them would take the process down.
func TestAStopWaitsForVerificationsInProgress(t *testing.T) {
	c, p := testConfig(t), pictures(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, c, testBuild(), slog.New(slog.DiscardHandler)) }()
	client := dial(c.Data)
	until(t, "the daemon answers", func() bool {
		_, err := client.Health(t.Context())
		return err == nil
	})
	var group sync.WaitGroup
	shown := make(chan verify.Verification, 40)
	for range cap(shown) {
		group.Go(func() {
			if v, err := client.Verify(t.Context(), VerifyRequest{Selfie: p.holder, DocumentFront: p.front}); err == nil {
				shown <- v
			}
		})
	}
	<-shown // one is done: others are in the middle
	stop()
	start := time.Now()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	t.Logf("stopped in %v", time.Since(start))
	group.Wait()
	close(shown)
	client.http.CloseIdleConnections()

	d := testDevice(t, c)
	for v := range shown {
		if kept, err := d.vault.Verification(t.Context(), v.ID); err != nil || kept.Status != v.Status {
			t.Errorf("verification that was shown: got %s, %v, want %s", kept.Status, err, v.Status)
		}
	}
}

func TestASecondCommandSurvivesTheEndOfTheFirst(t *testing.T) {
	c, p := testConfig(t), pictures(t)
	log := slog.New(slog.DiscardHandler)
	first, err := Connect(t.Context(), c, testBuild(), log)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Connect(t.Context(), c, testBuild(), log)
	if err != nil {
		t.Fatal(err)
	}
	began, asked := make(chan struct{}), make(chan error, 1)
	go func() {
		close(began)
		_, err := second.Verify(t.Context(), VerifyRequest{Selfie: p.holder, DocumentFront: p.front})
		asked <- err
	}()
	<-began
	until(t, "the request is in progress, or already done", func() bool { return len(first.local.slots) > 0 || len(asked) > 0 })
	if err := first.Close(); err != nil {
		t.Errorf("Close of the first: %v", err)
	}
	if err := <-asked; err != nil {
		t.Errorf("Verify of the second: got %v, want an outcome", err)
	}
	// Now the second opens the device itself.
	third, err := Connect(t.Context(), c, testBuild(), log)
	if err != nil {
		t.Fatalf("Connect after the end of the first: %v", err)
	}
	if err := errors.Join(second.Close(), third.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestAnOutcomeThatCannotGoDoesNotHideTheOthers(t *testing.T) {
	d, p := testDevice(t, testConfig(t)), pictures(t)
	// An outcome whose payload nobody can read waits in the vault.
	stuck := verify.New(newID(), time.Now(), verify.Request{})
	if err := d.vault.Commit(t.Context(), newID(), stuck, []byte("not a letter")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Verify(t.Context(), VerifyRequest{Selfie: p.holder, DocumentFront: p.front}); !errors.Is(err, ErrOutOfService) {
		t.Errorf("Verify while an outcome is stuck: got %v, want ErrOutOfService", err)
	}
	if h := d.Health(t.Context()); h.State != OutOfService || h.Outbox.Pending != 1 {
		t.Errorf("Health: got %s, %d pending, want %s, 1", h.State, h.Outbox.Pending, OutOfService)
	}
	// One that was committed meanwhile goes all the same.
	done, err := letter{"verification", []byte(`{}`)}.encode()
	if err != nil {
		t.Fatal(err)
	}
	v := verify.New(newID(), time.Now(), verify.Request{})
	if err := d.vault.Commit(t.Context(), newID(), v, done); err != nil {
		t.Fatal(err)
	}
	if err := d.deliver(t.Context()); err == nil {
		t.Error("deliver with a stuck outcome: got nil, want an error")
	}
	if _, err := d.vault.Verification(t.Context(), v.ID); err != nil {
		t.Errorf("the outcome behind it: got %v, want it delivered and shown", err)
	}
}

func TestTheDeviceOpensForRepairWhereAnOutcomeIsStuck(t *testing.T) {
	c := testConfig(t)
	d, err := Open(t.Context(), c, testBuild(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.vault.Commit(t.Context(), newID(), verify.New(newID(), time.Now(), verify.Request{}), []byte("not a letter")); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := testDevice(t, c)
	if h := again.Health(t.Context()); h.State != OutOfService {
		t.Errorf("Health: got %s, want %s", h.State, OutOfService)
	}
}

func TestATenantThatRecordsRefuseIsRefused(t *testing.T) {
	for _, tenant := range []string{"", "a b", "a/c", strings.Repeat("x", 65)} {
		if _, err := LoadConfig("", []string{"EDGEVERIFY_TENANT=" + tenant}); err == nil || !strings.Contains(err.Error(), "tenant") {
			t.Errorf("LoadConfig with tenant %q: got %v, want the tenant refused", tenant, err)
		}
	}
}

func TestADataFolderTooDeepForItsSocketIsRefused(t *testing.T) {
	_, err := LoadConfig("", []string{"EDGEVERIFY_DATA=/" + strings.Repeat("d", 120)})
	if err == nil || !strings.Contains(err.Error(), "data") {
		t.Errorf("LoadConfig: got %v, want data refused", err)
	}
}

func TestFailuresOfACameraHaveTheirReason(t *testing.T) {
	for err, want := range map[error]verify.Reason{
		capture.ErrCameraLost: verify.CameraLost, capture.ErrCameraFrozen: verify.CameraFrozen, capture.ErrReplayed: verify.CameraFrozen,
		capture.ErrFrameOrder: verify.CameraFrozen, outbox.ErrDisk: verify.MachineryFailed,
	} {
		if got := sourceFailure(err); got != want {
			t.Errorf("sourceFailure(%v): got %s, want %s", err, got, want)
		}
	}
}

func TestALostCameraIsAnErrorWithoutAVerdictAndDegradesHealth(t *testing.T) {
	d, p := testDevice(t, testConfig(t)), pictures(t)
	v, err := d.Verify(t.Context(), VerifyRequest{Camera: "http://127.0.0.1:1/video.mjpeg", DocumentFront: p.front})
	if err != nil {
		t.Fatal(err)
	}
	if v.Status != verify.Error || v.Verdict != verify.VerdictUnknown || v.Reasons[0] != verify.CameraLost {
		t.Errorf("Verify: got %s, verdict %s, %v, want error, unknown, %s", v.Status, v.Verdict, v.Reasons, verify.CameraLost)
	}
	if h := d.Health(t.Context()); h.State != Degraded {
		t.Errorf("Health: got %s, want %s", h.State, Degraded)
	}
	if _, err := d.Verify(t.Context(), VerifyRequest{Camera: "gst:videotestsrc ! appsink"}); !errors.Is(err, ErrRequest) {
		t.Errorf("Verify with a pipeline that is not configured: got %v, want ErrRequest", err)
	}
}

func TestAnOperatorConfirmsAClockThatNobodyBelieved(t *testing.T) {
	c := testConfig(t)
	old := Build{Version: "test", Time: time.Now().AddDate(-3, 0, 0)}
	d, err := Open(t.Context(), c, old, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	if h := d.Health(t.Context()); h.State != Degraded || h.Clock != "unset" {
		t.Errorf("Health three years after the build: got %s, clock %s, want %s, unset", h.State, h.Clock, Degraded)
	}
	if err := d.confirmClock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := d.Health(t.Context()); h.State != InOrder || h.Clock == "unset" {
		t.Errorf("Health after the confirmation: got %s, clock %s, want %s", h.State, h.Clock, InOrder)
	}
	entries, err := d.outboxList(t.Context(), 0)
	if err != nil || len(entries) != 1 || entries[0].Kind != "audit" {
		t.Errorf("outbox: got %v, %v, want one audit record", entries, err)
	}
}
