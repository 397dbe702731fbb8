package capture

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// noisy is the n-th picture of a sensor that sees the same scene for ever.
func noisy(n uint64) *Frame {
	r := rand.New(rand.NewPCG(n, 7))
	f := new(Frame)
	f.resize(64, 48)
	for i := range f.Pixels {
		f.Pixels[i] = byte(120 + r.IntN(3))
	}
	return f
}

// observe shows a Truth the numbered pictures, one every 33 ms, and returns the
// first error with its place.
func observe(t *Truth, pictures ...uint64) (int, error) {
	for i, n := range pictures {
		f := noisy(n)
		f.Sequence, f.Mono = uint64(i+1), time.Duration(i)*33*time.Millisecond
		if err := t.Observe(f); err != nil {
			return i, err
		}
	}
	return len(pictures), nil
}

func sequence(from, to uint64) []uint64 {
	var out []uint64
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

func TestStillSceneOfARealSensorIsTrue(t *testing.T) {
	var pictures []uint64
	for n := range uint64(600) {
		// In poor light a driver hands out each picture up to three times.
		pictures = append(pictures, n, n, n)
	}
	if i, err := observe(NewTruth(TruthLimits{}), pictures...); err != nil {
		t.Errorf("Observe(picture %d) = %v, want nil", i, err)
	}
}

func TestRepeatedPictureIsFrozenAfterASecond(t *testing.T) {
	pictures := append(sequence(0, 10), make([]uint64, 60)...)
	for i := 10; i < len(pictures); i++ {
		pictures[i] = 9
	}
	i, err := observe(NewTruth(TruthLimits{}), pictures...)
	if !errors.Is(err, ErrCameraFrozen) {
		t.Fatalf("Observe = %v, want ErrCameraFrozen", err)
	}
	if want := 9 + 31; i != want { // 31 × 33 ms is the first beyond 1 s
		t.Errorf("frozen at picture %d, want %d", i, want)
	}
}

func TestThawedCameraIsTrueAgain(t *testing.T) {
	truth := NewTruth(TruthLimits{FrozenFrames: 2, FrozenFor: time.Millisecond})
	f := noisy(1)
	for i := range 5 {
		f.Sequence, f.Mono = uint64(i+1), time.Duration(i+1)*time.Second
		if err := truth.Observe(f); (err != nil) != (i >= 2) {
			t.Errorf("Observe(repeat %d) = %v", i, err)
		}
	}
	g := noisy(2)
	g.Sequence, g.Mono = 6, 6*time.Second
	if err := truth.Observe(g); err != nil {
		t.Errorf("Observe(new picture) = %v, want nil", err)
	}
}

func TestLoopIsReplayedWithinItsSecondRound(t *testing.T) {
	clip := sequence(0, 300)
	pictures := append(append([]uint64{}, clip...), clip...)
	i, err := observe(NewTruth(TruthLimits{}), pictures...)
	if !errors.Is(err, ErrReplayed) {
		t.Fatalf("Observe = %v, want ErrReplayed", err)
	}
	if want := 304; i != want {
		t.Errorf("replay found at picture %d, want %d", i, want)
	}
}

func TestLoopJoinedInTheMiddleIsReplayed(t *testing.T) {
	pictures := append(sequence(0, 300), sequence(123, 140)...)
	if _, err := observe(NewTruth(TruthLimits{}), pictures...); !errors.Is(err, ErrReplayed) {
		t.Errorf("Observe = %v, want ErrReplayed", err)
	}
}

func TestLoopBeyondMemoryGoesUnseen(t *testing.T) {
	// The promise is bounded, and so is the memory.
	pictures := append(sequence(0, 200), sequence(0, 100)...)
	if i, err := observe(NewTruth(TruthLimits{Memory: 100}), pictures...); err != nil {
		t.Errorf("Observe(picture %d) = %v, want nil", i, err)
	}
}

func TestTimeAndNumbersMustIncrease(t *testing.T) {
	for _, c := range []struct {
		name     string
		sequence uint64
		mono     time.Duration
	}{
		{"same time", 3, 2 * time.Second},
		{"time running back", 3, time.Second},
		{"same number", 2, 3 * time.Second},
		{"number running back", 1, 3 * time.Second},
	} {
		truth := NewTruth(TruthLimits{})
		first, second := noisy(1), noisy(2)
		first.Sequence, first.Mono = 2, 2*time.Second
		if err := truth.Observe(first); err != nil {
			t.Fatal(err)
		}
		second.Sequence, second.Mono = c.sequence, c.mono
		if err := truth.Observe(second); !errors.Is(err, ErrFrameOrder) {
			t.Errorf("Observe(%s) = %v, want ErrFrameOrder", c.name, err)
		}
	}
}

func TestOneChangedPixelRowIsAnotherPicture(t *testing.T) {
	truth := NewTruth(TruthLimits{FrozenFrames: 1, FrozenFor: 1})
	f := paint(64, 48, weave(8, 50))
	f.Mono = 1
	if err := truth.Observe(f); err != nil {
		t.Fatal(err)
	}
	g := paint(64, 48, weave(8, 50))
	g.Pixels[3*64*rowStep] ^= 1
	g.Sequence, g.Mono = 2, 2*time.Second
	if err := truth.Observe(g); err != nil {
		t.Errorf("Observe(changed picture) = %v, want nil", err)
	}
}
