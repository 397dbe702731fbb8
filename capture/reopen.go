package capture

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Backoff is how long to wait before a lost source is opened again: First, and
// twice as long after each failure, up to Max. The zero value stands for 500 ms
// and 30 s.
type Backoff struct {
	First, Max time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.First <= 0 {
		b.First = 500 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 30 * time.Second
	}
	b.Max = max(b.Max, b.First)
	return b
}

// A Reopening is a source that is opened again after it was lost or froze. Frame
// numbers and times go on where they were, and so does the memory of pictures
// seen, so that a recording is not forgotten with its connection.
//
// It does its work inside Next: nobody asking means nothing tried. Next is for
// one goroutine; Close may be called from any.
type Reopening struct {
	spec    string
	opts    Options
	backoff Backoff
	past    *history
	closed  chan struct{}

	mu     sync.Mutex
	source *Source // nil before the first Next and after Close

	lost  bool // source has failed and is to be opened again
	delay time.Duration
	after time.Time // when to try again
}

// Keep returns a source that is opened at the first Next and again whenever it
// is lost. The specification is checked then, not now.
func Keep(spec string, opts Options, backoff Backoff) *Reopening {
	return &Reopening{
		spec:    spec,
		opts:    opts,
		backoff: backoff.withDefaults(),
		past:    newHistory(opts.Truth),
		closed:  make(chan struct{}),
	}
}

// Next is Source.Next. A loss is returned once, so that whoever relied on the
// pictures learns of it; the call after that waits for the back-off and opens
// the source again, returning an error matching ErrCameraLost if it cannot.
func (r *Reopening) Next(ctx context.Context, into *Frame) error {
	source, err := r.ready(ctx)
	if err == nil {
		err = source.Next(ctx, into)
	}
	switch {
	case err == nil:
		r.delay = 0
	case errors.Is(err, ErrCameraLost), errors.Is(err, ErrCameraFrozen):
		r.lost = true
		r.delay = min(max(2*r.delay, r.backoff.First), r.backoff.Max)
		r.after = time.Now().Add(r.delay)
		if source != nil {
			// A device still stuck is no second error: it is waited for before
			// it is opened again.
			_ = source.Close()
		}
	}
	return err
}

// ready returns the open source, after opening it if need be.
func (r *Reopening) ready(ctx context.Context) (*Source, error) {
	if err := r.wait(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	source := r.source
	r.mu.Unlock()
	if source != nil && !r.lost {
		return source, nil
	}
	if source != nil {
		// Until the old goroutine has ended, device and history are still its own.
		if err := source.Close(); err != nil {
			return nil, errors.Join(ErrCameraLost, err)
		}
	}
	opened, err := open(ctx, r.spec, r.opts, r.past)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closed:
		return nil, errors.Join(ErrClosed, opened.Close())
	default:
	}
	r.source, r.lost = opened, false
	return opened, nil
}

func (r *Reopening) wait(ctx context.Context) error {
	pause := time.Until(r.after)
	if !r.lost || pause <= 0 {
		select {
		case <-r.closed:
			return ErrClosed
		default:
			return ctx.Err()
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.closed:
		return ErrClosed
	case <-timer.C:
		return nil
	}
}

// Identity says what the source is; it is zero until the source was opened.
func (r *Reopening) Identity() Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.source == nil {
		return Identity{}
	}
	return r.source.Identity()
}

// Close releases the source for good.
func (r *Reopening) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closed:
	default:
		close(r.closed)
	}
	if r.source == nil {
		return nil
	}
	return r.source.Close()
}
