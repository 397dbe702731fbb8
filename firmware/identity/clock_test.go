package identity_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeverify/edgeverify/firmware/identity"
)

func openClock(t *testing.T, dir string, built time.Time) *identity.Clock {
	t.Helper()
	c, err := identity.OpenClock(dir, built)
	if err != nil {
		t.Fatalf("OpenClock: %v", err)
	}
	return c
}

func TestClockIsJudgedAgainstTheFloor(t *testing.T) {
	built := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	c := openClock(t, t.TempDir(), built)
	for _, tc := range []struct {
		name   string
		wall   time.Time
		synced bool
		want   identity.Quality
	}{
		{"1970", time.Unix(0, 0), true, identity.Unset},
		{"zero time", time.Time{}, true, identity.Unset},
		{"before the build", built.Add(-time.Second), true, identity.Unset},
		{"the build itself", built, false, identity.Holdover},
		{"a month later", built.AddDate(0, 1, 0), false, identity.Holdover},
		{"a month later, synced", built.AddDate(0, 1, 0), true, identity.Synced},
		{"two years ahead", built.AddDate(2, 0, 0), true, identity.Unset},
		{"2099", time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), false, identity.Unset},
	} {
		if got := c.Judge(tc.wall, tc.synced); got != tc.want {
			t.Errorf("%s: Judge = %v, want %v", tc.name, got, tc.want)
		}
	}
	if got := identity.Quality(0).String(); got != "unset" {
		t.Errorf("zero Quality = %s, want unset", got)
	}
}

func TestFloorRisesOnlyAndSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	built := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	c := openClock(t, dir, built)
	later := built.AddDate(0, 3, 0)
	for _, at := range []time.Time{later, built.AddDate(0, 1, 0)} {
		if err := c.Confirm(at); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Floor(); !got.Equal(later) {
		t.Errorf("Floor = %v, want %v: it never falls", got, later)
	}
	if got := openClock(t, dir, built).Floor(); !got.Equal(later) {
		t.Errorf("Floor after a restart = %v, want %v", got, later)
	}
	// Many small steps reach the disk too.
	for i := range 6 {
		if err := c.Confirm(later.Add(time.Duration(i) * 30 * time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if got := openClock(t, dir, built).Floor(); got.Before(later.Add(90 * time.Minute)) {
		t.Errorf("Floor after small steps and a restart = %v, want at most an hour behind %v", got, c.Floor())
	}
	newer := later.AddDate(1, 0, 0)
	if got := openClock(t, dir, newer).Floor(); !got.Equal(newer) {
		t.Errorf("Floor of a newer build = %v, want %v", got, newer)
	}
}

func TestOneWrongTimeDoesNotSpoilTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		built := time.Now().AddDate(0, -1, 0)
		c := openClock(t, dir, built)
		for _, ahead := range []time.Time{time.Now().AddDate(70, 0, 0), built.Add(366*24*time.Hour + time.Second)} {
			if err := c.Confirm(ahead); !errors.Is(err, identity.ErrFarAhead) {
				t.Errorf("Confirm(%v) = %v, want ErrFarAhead", ahead, err)
			}
		}
		if err := c.Confirm(time.Now()); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]*identity.Clock{"running": c, "restarted": openClock(t, dir, built)} {
			if got := c.Judge(time.Now(), true); got != identity.Synced {
				t.Errorf("Judge, %s = %v, want synced", name, got)
			}
		}
	})
}

func TestDeviceFromStoreBelievesATimeItsClockBearsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		built := time.Now().AddDate(-4, 0, 0)
		for _, tc := range []struct {
			off  time.Duration
			want error
		}{
			{-24 * time.Hour, nil},
			{24 * time.Hour, nil},
			{24*time.Hour + time.Second, identity.ErrFarAhead},
			{-24*time.Hour - time.Second, identity.ErrFarAhead},
		} {
			c := openClock(t, t.TempDir(), built)
			at := time.Now().Add(tc.off)
			if err := c.Confirm(at); !errors.Is(err, tc.want) {
				t.Errorf("Confirm(%v from the wall clock) = %v, want %v", tc.off, err, tc.want)
			}
			if got := c.Floor().Equal(at); got != (tc.want == nil) {
				t.Errorf("Confirm(%v from the wall clock): Floor = %v", tc.off, c.Floor())
			}
		}
	})
}

func TestOperatorResetsTheFloor(t *testing.T) {
	dir := t.TempDir()
	built := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	wrong := built.AddDate(0, 11, 0)
	c := openClock(t, dir, built)
	for _, tc := range []struct{ to, want time.Time }{
		{built.AddDate(0, 1, 0), built.AddDate(0, 1, 0)},
		{time.Time{}, built},
		{built.AddDate(10, 0, 0), built.AddDate(10, 0, 0)},
		{built, built},
	} {
		if err := c.Confirm(wrong); err != nil {
			t.Fatal(err)
		}
		if err := c.Reset(tc.to); err != nil {
			t.Fatalf("Reset(%v): %v", tc.to, err)
		}
		if got := c.Floor(); !got.Equal(tc.want) {
			t.Errorf("Floor after Reset(%v) = %v, want %v", tc.to, got, tc.want)
		}
		if got := openClock(t, dir, built).Floor(); !got.Equal(tc.want) {
			t.Errorf("Floor after Reset(%v) and a restart = %v, want %v", tc.to, got, tc.want)
		}
	}
}

func TestDamagedFloorFallsBackToTheBuild(t *testing.T) {
	dir := t.TempDir()
	built := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	if err := os.WriteFile(filepath.Join(dir, "clock.floor"), []byte("17x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := openClock(t, dir, built).Floor(); !got.Equal(built) {
		t.Errorf("Floor = %v, want the build time %v", got, built)
	}
}

func TestNowReadsTheKernelsClocks(t *testing.T) {
	c := openClock(t, t.TempDir(), time.Now().Add(-time.Hour))
	a, err := c.Now()
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Now()
	if err != nil {
		t.Fatal(err)
	}
	if b.Mono < a.Mono || a.Mono <= 0 {
		t.Errorf("Mono went from %v to %v", a.Mono, b.Mono)
	}
	if len(a.BootID) != 36 || a.BootID != b.BootID {
		t.Errorf("BootID = %q, then %q", a.BootID, b.BootID)
	}
	if a.Quality == identity.Unset {
		t.Errorf("Quality = %v an hour after the build", a.Quality)
	}
	if a.Quality != identity.Synced && a.ErrMs != 0 {
		t.Errorf("ErrMs = %d for a clock that is not synced", a.ErrMs)
	}
}
