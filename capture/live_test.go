package capture

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a picture of a moving square; each n is another picture.
func scene(n int) image.Image {
	img := image.NewGray(image.Rect(0, 0, 160, 120))
	for i := range img.Pix {
		img.Pix[i] = byte(40 + (i*7+i/160*3)%60)
	}
	for y := 40; y < 80; y++ {
		for x := range 30 {
			img.SetGray((x+n*3)%160, y, color.Gray{Y: byte(150 + n%100)})
		}
	}
	return img
}

// A networkCamera serves motion JPEG over HTTP, as network cameras do, and does
// to each connection what the test asks: pictures(i) is the i-th picture, or nil
// to fall silent, and the connection ends after the given number.
type networkCamera struct {
	*httptest.Server
	connections atomic.Int32
	silent      chan struct{} // closed when a connection falls silent
	hush        sync.Once
	hangUp      chan struct{} // closed to end silent connections
}

func newNetworkCamera(t *testing.T, pictures func(connection, i int) image.Image, perConnection int) *networkCamera {
	t.Helper()
	c := &networkCamera{silent: make(chan struct{}), hangUp: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := int(c.connections.Add(1))
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		beat := time.NewTicker(10 * time.Millisecond)
		defer beat.Stop()
		for i := range perConnection {
			img := pictures(connection, i)
			if img == nil {
				c.hush.Do(func() { close(c.silent) })
				select {
				case <-c.hangUp:
				case <-r.Context().Done():
				}
				return
			}
			data := encodeJPEG(t, img)
			if _, err := fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(data), data); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-beat.C:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(func() {
		close(c.hangUp)
		c.Server.CloseClientConnections()
		c.Server.Close()
	})
	return c
}

// until pulls frames until an error comes, and returns it with the number before.
func until(t *testing.T, next func(context.Context, *Frame) error) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var f Frame
	for n := 0; ; n++ {
		if err := next(ctx, &f); err != nil {
			return n, err
		}
	}
}

func openStream(t *testing.T, c *networkCamera, opts Options) *Source {
	t.Helper()
	s, err := Open(t.Context(), c.URL+"/video.mjpeg", opts)
	if err != nil {
		t.Fatalf("Open(stream): %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

const never = 1 << 20

func TestStreamThatFallsSilentIsLost(t *testing.T) {
	c := newNetworkCamera(t, func(_, i int) image.Image {
		if i == 60 {
			return nil
		}
		return scene(i)
	}, never)
	s := openStream(t, c, Options{Stall: time.Second})
	n, err := until(t, s.Next)
	if !errors.Is(err, ErrCameraLost) || n == 0 {
		t.Errorf("after %d frames Next = %v, want ErrCameraLost", n, err)
	}
}

func TestStreamThatEndsIsLostNotFinished(t *testing.T) {
	c := newNetworkCamera(t, func(_, i int) image.Image { return scene(i) }, 60)
	s := openStream(t, c, Options{Stall: time.Second})
	n, err := until(t, s.Next)
	if !errors.Is(err, ErrCameraLost) || errors.Is(err, io.EOF) {
		t.Errorf("after %d frames Next = %v, want ErrCameraLost", n, err)
	}
	if strings.Contains(err.Error(), "video.mjpeg") {
		t.Errorf("error %q repeats the stream's path", err)
	}
}

func TestStreamOfOnePictureIsFrozen(t *testing.T) {
	c := newNetworkCamera(t, func(_, i int) image.Image { return scene(min(i, 40)) }, never)
	s := openStream(t, c, Options{Truth: TruthLimits{FrozenFor: 200 * time.Millisecond}})
	n, err := until(t, s.Next)
	if !errors.Is(err, ErrCameraFrozen) || n == 0 {
		t.Errorf("after %d frames Next = %v, want ErrCameraFrozen", n, err)
	}
}

func TestStreamInALoopIsReplayed(t *testing.T) {
	c := newNetworkCamera(t, func(_, i int) image.Image { return scene(i % 30) }, never)
	s := openStream(t, c, Options{})
	n, err := until(t, s.Next)
	if !errors.Is(err, ErrReplayed) || n == 0 {
		t.Errorf("after %d frames Next = %v, want ErrReplayed", n, err)
	}
}

func TestLostStreamIsOpenedAgain(t *testing.T) {
	c := newNetworkCamera(t, func(connection, i int) image.Image { return scene(connection*60 + i) }, 60)
	r := Keep(c.URL, Options{Stall: time.Second}, Backoff{First: time.Millisecond})
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var f Frame
	var sequence uint64
	var mono time.Duration
	losses := 0
	for losses < 2 || sequence == 0 {
		err := r.Next(ctx, &f)
		switch {
		case errors.Is(err, ErrCameraLost):
			losses++
		case err != nil:
			t.Fatalf("Next: %v", err)
		case f.Sequence <= sequence || f.Mono <= mono:
			t.Fatalf("frame %d at %v after frame %d at %v", f.Sequence, f.Mono, sequence, mono)
		default:
			sequence, mono = f.Sequence, f.Mono
		}
	}
	if got := c.connections.Load(); got < 2 {
		t.Errorf("the camera saw %d connections, want at least 2", got)
	}
}

func TestReplayIsNotForgottenWhenTheStreamIsOpenedAgain(t *testing.T) {
	// Each connection alone shows every picture once.
	c := newNetworkCamera(t, func(_, i int) image.Image { return scene(i) }, 60)
	r := Keep(c.URL, Options{Stall: time.Second}, Backoff{First: time.Millisecond})
	defer r.Close()
	next := func(ctx context.Context, f *Frame) error {
		if err := r.Next(ctx, f); !errors.Is(err, ErrCameraLost) {
			return err
		}
		return nil
	}
	if _, err := until(t, next); !errors.Is(err, ErrReplayed) {
		t.Errorf("Next = %v, want ErrReplayed", err)
	}
}

func TestUnreachableStreamIsLostAndKeepsItsPassword(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	spec := strings.Replace(s.URL, "http://", "http://clerk:hunter2@", 1) + "/cam?token=s3cret"
	_, err := Open(t.Context(), spec, Options{})
	if !errors.Is(err, ErrCameraLost) {
		t.Fatalf("Open = %v, want ErrCameraLost", err)
	}
	for _, secret := range []string{"clerk", "hunter2", "s3cret", "token"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q holds %q", err, secret)
		}
	}
	r := Keep(spec, Options{}, Backoff{First: 20 * time.Millisecond, Max: 50 * time.Millisecond})
	defer r.Close()
	var f Frame
	begun := time.Now()
	for range 4 { // waits of 20, 40 and 50 ms lie between
		if err := r.Next(t.Context(), &f); !errors.Is(err, ErrCameraLost) {
			t.Fatalf("Next = %v, want ErrCameraLost", err)
		}
	}
	if took := time.Since(begun); took < 110*time.Millisecond {
		t.Errorf("four attempts took %v, want the back-off of 110 ms between them", took)
	}
}

func TestCancellingReturnsAtOnce(t *testing.T) {
	c := newNetworkCamera(t, func(_, i int) image.Image {
		if i == 60 {
			return nil
		}
		return scene(i)
	}, never)
	s, err := Open(t.Context(), c.URL, Options{Stall: 5 * time.Second})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-c.silent
		cancel()
	}()
	var f Frame
	for err == nil {
		err = s.Next(ctx, &f)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v, want the context's error", err)
	}
	// The driver still waits for the silent camera. Close says so rather than
	// wait with it, and the device is released once the camera hangs up.
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("Close of a stuck device = %v, want an error that says so", err)
	}
	c.CloseClientConnections()
	if err := s.Close(); err != nil {
		t.Errorf("Close once the camera hung up: %v", err)
	}

	cancelled, cancelNow := context.WithCancel(t.Context())
	cancelNow()
	if _, err := Open(cancelled, c.URL, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open(cancelled) = %v, want context.Canceled", err)
	}
}

func TestClosingWakesTheReader(t *testing.T) {
	c := newNetworkCamera(t, func(_, i int) image.Image { return scene(i) }, never)
	r := Keep(c.URL, Options{}, Backoff{})
	var f Frame
	if err := r.Next(t.Context(), &f); err != nil {
		t.Fatalf("Next: %v", err)
	}
	if got := r.Identity(); got.Kind != KindStream || !strings.HasPrefix(got.Name, "127.0.0.1") || got.Attested {
		t.Errorf("Identity = %+v, want an unattested stream from 127.0.0.1", got)
	}
	ended := make(chan error)
	go func() {
		_, err := until(t, r.Next)
		ended <- err
	}()
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("Next during Close = %v, want ErrClosed", err)
	}
	if err := r.Next(t.Context(), &f); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close = %v, want ErrClosed", err)
	}
}
