package capture

import (
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"
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
