package uplink

import (
	"math/rand/v2"
	"time"
)

const (
	baseDelay = 2 * time.Second
	// MaxDelay is the longest that the uplink waits before it tries again,
	// whatever the collector wishes.
	MaxDelay = 15 * time.Minute
)

// fullJitter returns a random delay below base·2^failures, at most MaxDelay: the
// devices of a fleet that failed together must not come back together.
func fullJitter(failures int) time.Duration {
	ceiling := MaxDelay
	if failures < 16 {
		ceiling = min(MaxDelay, baseDelay<<failures)
	}
	return rand.N(ceiling)
}

// honour returns a delay not below the collector's wish, as far as the wish is
// reasonable, with up to a fifth on top.
func honour(wish, delay time.Duration) time.Duration {
	wish = min(max(wish, 0), MaxDelay)
	if wish > 0 {
		delay = max(delay, wish+rand.N(wish/5+1))
	}
	return min(delay, MaxDelay)
}

// spreadDelay returns rand(0, spread).
func spreadDelay(spread time.Duration) time.Duration {
	if spread <= 0 {
		return 0
	}
	return rand.N(spread)
}
