package collector

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits holds one rate limit per sender.
type limits struct {
	rate  rate.Limit
	burst int

	mu       sync.Mutex
	bySender map[string]*rate.Limiter
}

// maxSenders bounds the table; beyond it new senders share one limit.
const maxSenders = 100_000

func newLimits(r rate.Limit, burst int) *limits {
	return &limits{rate: r, burst: burst, bySender: map[string]*rate.Limiter{}}
}

func (l *limits) allow(sender string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.bySender[sender]
	if limiter == nil {
		if len(l.bySender) >= maxSenders {
			sender = ""
		}
		if limiter = l.bySender[sender]; limiter == nil {
			limiter = rate.NewLimiter(l.rate, l.burst)
			l.bySender[sender] = limiter
		}
	}
	return limiter.Allow()
}

// forgetIdle drops the limits that a new one would equal.
func (l *limits) forgetIdle(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for sender, limiter := range l.bySender {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.bySender, sender)
		}
	}
}

// requests are the deliveries in progress, by sender and Idempotency-Key.
type requests struct {
	mu    sync.Mutex
	inUse map[string]struct{}
}

func newRequests() *requests { return &requests{inUse: map[string]struct{}{}} }

// begin reports whether no other delivery with this key is in progress, and
// reserves the key until end.
func (r *requests) begin(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.inUse[key]; taken {
		return false
	}
	r.inUse[key] = struct{}{}
	return true
}

func (r *requests) end(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inUse, key)
}
