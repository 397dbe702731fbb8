package capture

import (
	"errors"
	"testing"
	"time"
)

func TestFitShrinksToTheLongerSideAndNeverEnlarges(t *testing.T) {
	for _, c := range []struct{ width, height, side, wantWidth, wantHeight int }{
		{1280, 720, 320, 320, 180},
		{720, 1280, 320, 180, 320},
		{1920, 1080, 480, 480, 270},
		{301, 200, 300, 300, 199},
		{5000, 1, 100, 100, 1},
		{200, 100, 320, 200, 100},
		{320, 320, 320, 320, 320},
	} {
		f := paint(c.width, c.height, weave(40, 60))
		f.Sequence, f.Mono, f.Source = 7, time.Second, Identity{Kind: KindVideo}
		var small Frame
		scale, err := f.Fit(c.side, &small)
		if err != nil {
			t.Errorf("Fit(%d×%d, %d): %v", c.width, c.height, c.side, err)
			continue
		}
		wantScale := min(1, float64(c.side)/float64(max(c.width, c.height)))
		if small.Width != c.wantWidth || small.Height != c.wantHeight || scale != wantScale || small.valid() != nil {
			t.Errorf("Fit(%d×%d, %d) = %d×%d at %v, want %d×%d at %v", c.width, c.height, c.side,
				small.Width, small.Height, scale, c.wantWidth, c.wantHeight, wantScale)
		}
		if small.Sequence != 7 || small.Mono != time.Second || small.Source.Kind != KindVideo {
			t.Errorf("Fit lost the frame's number, time or source: %+v", small.Source)
		}
	}
}

func TestFitAveragesAreas(t *testing.T) {
	// Alternate black and white pixels become grey, where a sample would alias.
	f := paint(400, 400, func(x, y int) float64 { return float64((x + y) % 2 * 255) })
	var small Frame
	if _, err := f.Fit(100, &small); err != nil {
		t.Fatal(err)
	}
	for i, p := range small.Pixels {
		if p < 126 || p > 129 {
			t.Fatalf("Pixels[%d] = %d, want the mean, 127 or 128", i, p)
		}
	}
}

func TestFitReusesItsMemory(t *testing.T) {
	f := paint(640, 480, weave(40, 60))
	var small Frame
	if _, err := f.Fit(320, &small); err != nil {
		t.Fatal(err)
	}
	before := &small.Pixels[0]
	if _, err := f.Fit(300, &small); err != nil {
		t.Fatal(err)
	}
	if &small.Pixels[0] != before {
		t.Error("a smaller Fit took new memory")
	}
}

func TestBadFramesAreErrors(t *testing.T) {
	var into Frame
	for name, f := range map[string]*Frame{
		"nil": nil, "zero": {}, "no pixels": {Width: 4, Height: 4},
		"too few": {Width: 4, Height: 4, Pixels: make([]byte, 47)}, "too many": {Width: 4, Height: 4, Pixels: make([]byte, 49)},
		"negative": {Width: -4, Height: -4, Pixels: make([]byte, 48)},
	} {
		if _, err := f.Fit(100, &into); !errors.Is(err, ErrFrame) {
			t.Errorf("Fit of a frame (%s) = %v, want ErrFrame", name, err)
		}
		if _, err := EncodeJPEG(f, 90); !errors.Is(err, ErrFrame) {
			t.Errorf("EncodeJPEG of a frame (%s) = %v, want ErrFrame", name, err)
		}
		if err := NewTruth(TruthLimits{}).Observe(f); !errors.Is(err, ErrFrame) {
			t.Errorf("Observe of a frame (%s) = %v, want ErrFrame", name, err)
		}
	}
	good := paint(8, 8, weave(4, 50))
	if _, err := good.Fit(0, &into); err == nil {
		t.Error("Fit(0) = nil, want an error")
	}
	if _, err := good.Fit(4, good); err == nil {
		t.Error("Fit into itself = nil, want an error")
	}
	for _, quality := range []int{0, 101, -1} {
		if _, err := EncodeJPEG(good, quality); err == nil {
			t.Errorf("EncodeJPEG(quality %d) = nil, want an error", quality)
		}
	}
}

func TestJPEGSurvivesTheRoundTrip(t *testing.T) {
	f := paint(120, 80, weave(60, 80))
	data, err := EncodeJPEG(f, 95)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Width != 120 || got.Height != 80 {
		t.Fatalf("Decode = %d×%d, want 120×80", got.Width, got.Height)
	}
	for i := range f.Pixels {
		if d := int(f.Pixels[i]) - int(got.Pixels[i]); d < -6 || d > 6 {
			t.Fatalf("Pixels[%d] = %d, was %d", i, got.Pixels[i], f.Pixels[i])
		}
	}
}
