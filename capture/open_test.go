package capture

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"
)

func TestADeviceThatNeverOpensIsLostInTimeAndOpenedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5 * time.Second
		slot := make(chan struct{}, 1)
		driver := make(chan struct{}) // closed when the driver returns
		var openings atomic.Int32
		open := func() (*gocv.VideoCapture, error) {
			openings.Add(1)
			<-driver
			return new(gocv.VideoCapture), errors.New("too late")
		}
		for range 3 {
			begun := time.Now()
			_, err := openWithin(t.Context(), timeout, slot, open)
			if took := time.Since(begun); !errors.Is(err, ErrCameraLost) || took != timeout {
				t.Errorf("openWithin = %v after %v, want ErrCameraLost after %v", err, took, timeout)
			}
		}
		if n := openings.Load(); n != 1 {
			t.Errorf("%d openings of a stuck device, want 1", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := openWithin(ctx, timeout, slot, open); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrCameraLost) {
			t.Errorf("openWithin under a context of a second = %v, want the context's error", err)
		}
		close(driver)
		synctest.Wait()
		if _, err := openWithin(t.Context(), timeout, slot, open); err == nil || errors.Is(err, ErrCameraLost) || openings.Load() != 2 {
			t.Errorf("openWithin once the driver returned = %v at opening %d, want its own error at the second", err, openings.Load())
		}
	})
}

func TestAReopeningWaitsForItsOwnStuckOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Keep("gst:videotestsrc ! appsink", Options{Stall: 7 * time.Second}, Backoff{})
		defer r.Close()
		r.past.opening <- struct{}{} // an earlier opening has not returned
		begun := time.Now()
		err := r.Next(t.Context(), new(Frame))
		if took := time.Since(begun); !errors.Is(err, ErrCameraLost) || took != 7*time.Second {
			t.Errorf("Next = %v after %v, want ErrCameraLost after 7 s", err, took)
		}
	})
}

func TestAnAbsentCameraWritesNothingToStandardError(t *testing.T) {
	if _, err := os.Stat("/dev/video63"); err == nil {
		t.Skip("not run: this machine has sixty-four cameras")
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before, err := unix.Dup(unix.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(before)
	if err := unix.Dup3(int(file.Fd()), unix.Stderr, 0); err != nil {
		t.Fatal(err)
	}
	_, openErr := Open(t.Context(), "camera:63", Options{})
	if err := unix.Dup3(before, unix.Stderr, 0); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(openErr, ErrCameraLost) || !strings.Contains(openErr.Error(), "absent") {
		t.Errorf("Open(camera:63) = %v, want ErrCameraLost saying that it is absent", openErr)
	}
	if text, err := os.ReadFile(file.Name()); err != nil || len(text) > 0 {
		t.Errorf("Open(camera:63) wrote %q to standard error, %v, want nothing", text, err)
	}
}
