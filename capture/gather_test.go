package capture

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestGatherTakesDifferentPicturesOfALiveSource(t *testing.T) {
	for name, c := range map[string]struct {
		pictures func(i int) int
		want     error
	}{
		"a sensor":          {func(i int) int { return i }, nil},
		"in poor light":     {func(i int) int { return i / 3 }, nil},
		"one picture":       {func(int) int { return 7 }, ErrCameraFrozen},
		"a loop of three":   {func(i int) int { return i % 3 }, ErrReplayed},
		"to and fro of six": {func(i int) int { return max(i%10-5, 5-i%10) }, ErrReplayed},
	} {
		t.Run(name, func(t *testing.T) {
			camera := newNetworkCamera(t, func(_, i int) image.Image { return scene(c.pictures(i)) }, 10_000)
			s := openStream(t, camera, Options{})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			frames, err := Gather(ctx, s, 7)
			if !errors.Is(err, c.want) || (err == nil) != (len(frames) == 7) {
				t.Errorf("Gather: got %d frames, %v, want 7 or %v", len(frames), err, c.want)
			}
		})
	}
}

func TestGatherTakesWhatAFiniteSourceHas(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.jpg", "b.jpg"} {
		if err := os.WriteFile(filepath.Join(dir, name), encodeJPEG(t, scene(1)), 0o600); err != nil {
			t.Fatal(err)
		} // the same picture twice
	}
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if frames, err := Gather(t.Context(), s, 7); err != nil || len(frames) != 2 {
		t.Errorf("Gather: got %d frames, %v, want 2", len(frames), err)
	}
}

// asCamera plays the pictures of a folder as a camera would, damaged ones too.
func asCamera(t *testing.T, dir string) *Source {
	t.Helper()
	opts := Options{FPS: 50}.withDefaults()
	g, err := openFolder(target{identity: Identity{Kind: KindFolder}, location: dir}, opts)
	if err != nil {
		t.Fatal(err)
	}
	camera := Identity{Kind: KindCamera, Name: "video0"}
	s := &Source{identity: camera, feed: newLive(g, camera, opts.Stall, newHistory(opts.Truth), true)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestGatherPassesOverDamagedPicturesOfALiveSource(t *testing.T) {
	for name, c := range map[string]struct {
		damaged func(i int) bool
		want    error
	}{
		"one in three": {func(i int) bool { return i%3 == 1 }, nil},
		"the first":    {func(i int) bool { return i == 0 }, nil},
		"all":          {func(int) bool { return true }, ErrImage},
		"nearly all":   {func(i int) bool { return i > 1 }, ErrImage},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i := range 40 {
				data := encodeJPEG(t, scene(i))
				if c.damaged(i) {
					data = data[:len(data)/2]
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.jpg", i)), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				frames, err := Gather(t.Context(), asCamera(t, dir), 5)
				if !errors.Is(err, c.want) || (err == nil) != (len(frames) == 5) {
					t.Errorf("Gather: got %d frames, %v, want 5 or %v", len(frames), err, c.want)
				}
			})
		})
	}
}

func TestGatherFailsOnADamagedPictureOfAFiniteSource(t *testing.T) {
	dir := gallery(t, 3)
	if err := os.WriteFile(filepath.Join(dir, "001.png"), []byte("%PDF-1.4"), 0o600); err != nil {
		t.Fatal(err)
	}
	if frames, err := Gather(t.Context(), mustOpen(t, dir, Options{}), 3); !errors.Is(err, ErrImage) {
		t.Errorf("Gather: got %d frames, %v, want ErrImage", len(frames), err)
	}
}
