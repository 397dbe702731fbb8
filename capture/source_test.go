package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// clip writes an animated GIF, which every build of FFmpeg can read as a video.
func clip(t testing.TB, pictures, width, height int) string {
	t.Helper()
	grey := make(color.Palette, 256)
	for i := range grey {
		grey[i] = color.Gray{Y: byte(i)}
	}
	var g gif.GIF
	for n := range pictures {
		img := image.NewPaletted(image.Rect(0, 0, width, height), grey)
		for i := range img.Pix {
			img.Pix[i] = byte((i%width + i/width + 10*n) % 256)
		}
		g.Image = append(g.Image, img)
		g.Delay = append(g.Delay, 4) // hundredths of a second
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "clip.gif")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// gallery writes n pictures, each of another brightness, into a folder.
func gallery(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		img := image.NewGray(image.Rect(0, 0, 32, 24))
		for p := range img.Pix {
			img.Pix[p] = byte(10 * (i + 1))
		}
		name := filepath.Join(dir, fmt.Sprintf("%03d.png", i))
		if err := os.WriteFile(name, encodePNG(t, img), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustOpen(t testing.TB, spec string, opts Options) *Source {
	t.Helper()
	s, err := Open(context.Background(), spec, opts)
	if err != nil {
		t.Fatalf("Open(%s): %v", spec, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestVideoFileHandsOutEveryPicture(t *testing.T) {
	s := mustOpen(t, clip(t, 20, 96, 64), Options{})
	var f Frame
	last := time.Duration(-1)
	for n := range uint64(20) {
		if err := s.Next(t.Context(), &f); err != nil {
			t.Fatalf("Next(picture %d): %v", n, err)
		}
		if f.Width != 96 || f.Height != 64 || len(f.Pixels) != 3*96*64 || f.Sequence != n+1 || f.Mono <= last {
			t.Fatalf("picture %d = %d×%d, sequence %d, at %v after %v", n, f.Width, f.Height, f.Sequence, f.Mono, last)
		}
		if want := byte(10 * n); f.Pixels[0] < want-3 && want > 3 || f.Pixels[0] > want+3 {
			t.Errorf("picture %d begins with %d, want about %d", n, f.Pixels[0], want)
		}
		last = f.Mono
	}
	if f.Source != (Identity{Kind: KindVideo, Name: "clip.gif"}) {
		t.Errorf("Source = %+v, want the video clip.gif", f.Source)
	}
	for range 2 {
		if err := s.Next(t.Context(), &f); err != io.EOF {
			t.Errorf("Next after the last = %v, want io.EOF", err)
		}
	}
}

func TestCompressedVideoIsRead(t *testing.T) {
	// gocv ships a real film with its tests; the module's folder is asked for
	// it because nothing of it is kept here.
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv").Output()
	if err != nil {
		t.Skipf("not run: go list: %v", err)
	}
	s := mustOpen(t, filepath.Join(strings.TrimSpace(string(dir)), "images", "small.mp4"), Options{})
	n, err := until(t, s.Next)
	if err != io.EOF || n < 100 {
		t.Errorf("read %d pictures and %v, want over 100 and io.EOF", n, err)
	}
}

func TestNewestOfAVideoDropsWhatPassed(t *testing.T) {
	path := clip(t, 25, 32, 32)
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, path, Options{Newest: true})
		var f Frame
		if err := s.Next(t.Context(), &f); err != nil || f.Sequence != 1 {
			t.Fatalf("first Next = picture %d, %v", f.Sequence, err)
		}
		time.Sleep(300 * time.Millisecond) // of the bubble's clock: seven pictures
		if err := s.Next(t.Context(), &f); err != nil || f.Sequence < 7 || f.Sequence > 9 {
			t.Errorf("Next after 300 ms = picture %d, %v, want about the eighth", f.Sequence, err)
		}
		n, err := until(t, s.Next)
		if err != io.EOF || n < 16 || n > 18 {
			t.Errorf("then %d pictures and %v, want the remaining 17 and io.EOF", n, err)
		}
	})
}

func TestFolderPlaysInOrderAndPassesOverABadPicture(t *testing.T) {
	dir := gallery(t, 4)
	for name, text := range map[string]string{"001.png": "%PDF-1.4", "notes.txt": "not a picture"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, dir, Options{FPS: 5})
	var f Frame
	for i, want := range []byte{10, 0, 30, 40} {
		err := s.Next(t.Context(), &f)
		if want == 0 {
			if !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "picture 2 of 4") {
				t.Errorf("Next(PDF) = %v, want ErrImage naming picture 2 of 4", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		if at := time.Duration(i) * 200 * time.Millisecond; f.Pixels[0] != want || f.Mono != at {
			t.Errorf("picture of brightness %d at %v, want %d at %v", f.Pixels[0], f.Mono, want, at)
		}
	}
	if err := s.Next(t.Context(), &f); err != io.EOF {
		t.Errorf("Next after the last = %v, want io.EOF", err)
	}
}

func TestNewestOfAFolderKeepsItsPace(t *testing.T) {
	dir := gallery(t, 20)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(context.Background(), dir, Options{Newest: true, FPS: 10})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var f Frame
		if err := s.Next(t.Context(), &f); err != nil || f.Sequence != 1 {
			t.Fatalf("first Next = picture %d, %v", f.Sequence, err)
		}
		time.Sleep(time.Second + 50*time.Millisecond) // of the bubble's clock
		if err := s.Next(t.Context(), &f); err != nil || f.Sequence != 11 {
			t.Errorf("Next after 1.05 s = picture %d, %v, want picture 11", f.Sequence, err)
		}
		if err := s.Next(t.Context(), &f); err != nil || f.Sequence != 12 || time.Since(begun) != 1100*time.Millisecond {
			t.Errorf("Next = picture %d after %v, %v, want picture 12 after 1.1 s", f.Sequence, time.Since(begun), err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := s.Next(t.Context(), &f); !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close = %v, want ErrClosed", err)
		}
	})
}

func TestImageIsOnePicture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "face.JPG")
	if err := os.WriteFile(path, withOrientation(encodeJPEG(t, quarters(96, 64)), 6), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path, Options{})
	var f Frame
	if err := s.Next(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	if corners(&f) != "WRGB" || f.Source.Kind != KindImage {
		t.Errorf("picture %s from %+v, want WRGB from an image", corners(&f), f.Source)
	}
	if err := s.Next(t.Context(), &f); err != io.EOF {
		t.Errorf("second Next = %v, want io.EOF", err)
	}
	s.Close()
	if err := s.Next(t.Context(), &f); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close = %v, want ErrClosed", err)
	}
}

func TestSourcesThatCannotBeOpenedSayWhy(t *testing.T) {
	empty := t.TempDir()
	text := filepath.Join(empty, "film.mp4")
	if err := os.WriteFile(text, []byte("this is no film"), 0o600); err != nil {
		t.Fatal(err)
	}
	playlist := filepath.Join(empty, "list.mp4")
	if err := os.WriteFile(playlist, []byte("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wide := clip(t, 2, 300, 200)
	for _, c := range []struct {
		spec string
		opts Options
		want error
	}{
		{"", Options{}, ErrSource},
		{"camera:", Options{}, ErrSource},
		{"camera:-1", Options{}, ErrSource},
		{"camera:99999999", Options{}, ErrSource},
		{"camera:63", Options{}, ErrCameraLost},
		{"63", Options{}, ErrCameraLost},
		{"/dev/video63", Options{}, ErrCameraLost},
		{"/dev/null", Options{}, ErrSource},
		{"gst:", Options{}, ErrSource},
		{"ftp://host/film.mp4", Options{}, ErrSource},
		{"file:///etc/passwd", Options{}, ErrSource},
		{"rtsp://", Options{}, ErrSource},
		{"http://user:pass word@h:bad/", Options{}, ErrSource},
		{filepath.Join(empty, "missing.mp4"), Options{}, os.ErrNotExist},
		{empty, Options{}, ErrNoPictures},
		{text, Options{}, ErrNoPictures},
		{playlist, Options{}, ErrNoPictures},
		{wide, Options{Limits: Limits{MaxPixels: 299 * 200}}, ErrImage},
	} {
		s, err := Open(t.Context(), c.spec, c.opts)
		if !errors.Is(err, c.want) {
			t.Errorf("Open(%q) = %v, want %v", c.spec, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "pass word") {
			t.Errorf("Open(%q) repeats the password: %v", c.spec, err)
		}
		if s != nil {
			s.Close()
		}
	}
}

func TestPipelineIsRead(t *testing.T) {
	s, err := Open(t.Context(), "gst:videotestsrc num-buffers=30 ! videoconvert ! video/x-raw,format=BGR,width=160,height=120 ! appsink", Options{})
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	defer s.Close()
	var f Frame
	if err := s.Next(t.Context(), &f); err != nil {
		t.Fatalf("Next: %v", err)
	}
	if f.Width != 160 || f.Height != 120 || f.Source != (Identity{Kind: KindPipeline, Name: "gstreamer"}) {
		t.Errorf("Next = %d×%d from %+v, want 160×120 from a pipeline", f.Width, f.Height, f.Source)
	}
}
