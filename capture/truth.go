package capture

import (
	"fmt"
	"hash/maphash"
	"time"
)

// TruthLimits are when frames stop being believable. The zero value stands for
// the defaults.
type TruthLimits struct {
	// A source is frozen once one picture has been repeated FrozenFrames times
	// over at least FrozenFor: 10 times and 1 s by default. Drivers repeat a
	// picture two or three times when the light is poor, so one repeat is nothing.
	FrozenFrames int
	FrozenFor    time.Duration
	// A source is replayed once LoopFrames pictures in a row, 5 by default, are
	// pictures from before in the same order. Noise alone makes every picture of
	// a sensor different, so even one is remarkable.
	LoopFrames int
	// Memory is how many different pictures are remembered: 4096 by default,
	// over two minutes at 30 pictures a second, in 32 KiB.
	Memory int
}

func (l TruthLimits) withDefaults() TruthLimits {
	if l.FrozenFrames <= 0 {
		l.FrozenFrames = 10
	}
	if l.FrozenFor <= 0 {
		l.FrozenFor = time.Second
	}
	if l.LoopFrames <= 0 {
		l.LoopFrames = 5
	}
	if l.Memory <= 0 {
		l.Memory = 4096
	}
	return l
}

// A Truth watches the frames of one live source and says when they cannot be
// what a sensor sees: one picture repeated, a recording played in a loop, time
// running backwards. It compares pictures exactly, so it finds a source that is
// stuck, or replayed without change; added noise defeats it, and nothing else
// here claims otherwise. A live Source has one of its own. It is for one
// goroutine.
type Truth struct {
	limits TruthLimits
	seed   maphash.Seed

	started     bool
	last        uint64        // hash of the last picture
	since       time.Duration // Mono of its first appearance
	repeats     int           // how often it came again
	mono        time.Duration
	sequence    uint64
	seen        []uint64 // ring of different pictures in order of appearance
	count       int      // pictures ever put into the ring
	lag, echoes int      // how far back, and how many pictures in a row, a loop reaches
}

// NewTruth returns a Truth that has seen nothing.
func NewTruth(limits TruthLimits) *Truth {
	limits = limits.withDefaults()
	return &Truth{limits: limits, seed: maphash.MakeSeed(), seen: make([]uint64, limits.Memory)}
}

// Observe takes the next frame. It returns nil, or an error matching
// ErrCameraFrozen, ErrReplayed or ErrFrameOrder, for as long as that lasts.
func (t *Truth) Observe(f *Frame) error {
	if err := f.valid(); err != nil {
		return err
	}
	if t.started && (f.Mono <= t.mono || f.Sequence <= t.sequence) {
		return fmt.Errorf("%w: frame %d at %v follows frame %d at %v",
			ErrFrameOrder, f.Sequence, f.Mono, t.sequence, t.mono)
	}
	hash := t.hash(f)
	repeated := t.started && hash == t.last
	t.started, t.mono, t.sequence = true, f.Mono, f.Sequence
	if repeated {
		t.repeats++
		if held := f.Mono - t.since; t.repeats >= t.limits.FrozenFrames && held >= t.limits.FrozenFor {
			return fmt.Errorf("%w: one picture for %v", ErrCameraFrozen, held.Round(time.Millisecond))
		}
		return t.replayed()
	}
	t.last, t.since, t.repeats = hash, f.Mono, 0
	t.remember(hash)
	return t.replayed()
}

func (t *Truth) replayed() error {
	if t.echoes >= t.limits.LoopFrames {
		return fmt.Errorf("%w: the last %d pictures were shown %d pictures before", ErrReplayed, t.echoes, t.lag)
	}
	return nil
}

// remember looks for hash among the pictures before it, counts how many in a
// row came the same distance after their first showing, and keeps it.
func (t *Truth) remember(hash uint64) {
	size := len(t.seen)
	// A loop that goes on is found at once.
	if t.echoes > 0 && t.lag <= size && t.seen[(t.count-t.lag)%size] == hash {
		t.echoes++
	} else {
		t.echoes, t.lag = 0, 0
		for back := 1; back <= min(t.count, size); back++ {
			if t.seen[(t.count-back)%size] == hash {
				t.echoes, t.lag = 1, back
				break
			}
		}
	}
	t.seen[t.count%size] = hash
	t.count++
}

// rowStep says that each eighth row is hashed: enough of a sensor's noise to
// make any two pictures differ, at an eighth of the time.
const rowStep = 8

func (t *Truth) hash(f *Frame) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	stride := 3 * f.Width
	for y := 0; y < f.Height; y += rowStep {
		h.Write(f.Pixels[y*stride : (y+1)*stride])
	}
	return h.Sum64()
}
