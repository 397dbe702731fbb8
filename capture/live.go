package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// live keeps the newest picture of a source that does not wait for its reader.
// One goroutine reads; the pictures travel by exchange of memory, not by copy.
type live struct {
	identity Identity
	stall    time.Duration
	opened   time.Time
	stop     context.CancelFunc
	done     chan struct{} // closed when the goroutine has released the device
	wake     chan struct{} // holds one token when there is news
	silence  *time.Timer   // of next, kept so that waiting costs no memory

	mu       sync.Mutex
	newest   Frame
	fresh    bool      // newest was not handed out yet
	arrived  time.Time // of the last picture, or of opening
	untrue   error     // what Truth says of the last picture
	finished error     // why the goroutine ended
}

const closeWait = time.Second

func newLive(g grabber, identity Identity, opts Options, paced bool) *live {
	ctx, stop := context.WithCancel(context.Background())
	now := time.Now()
	l := &live{
		identity: identity,
		stall:    opts.Stall,
		opened:   now,
		arrived:  now,
		stop:     stop,
		done:     make(chan struct{}),
		wake:     make(chan struct{}, 1),
		silence:  time.NewTimer(opts.Stall),
	}
	go l.read(ctx, g, NewTruth(opts.Truth), paced)
	return l
}

// read owns the grabber: only here is it used, and only here closed.
func (l *live) read(ctx context.Context, g grabber, truth *Truth, paced bool) {
	defer close(l.done)
	defer g.close()
	pace := time.NewTimer(0)
	defer pace.Stop()
	var frame Frame
	for sequence := uint64(1); ; {
		err := g.grab(&frame)
		if ctx.Err() != nil {
			l.finish(ErrClosed)
			return
		}
		if errors.Is(err, ErrImage) {
			l.publish(&frame, err)
			continue
		}
		if err != nil {
			l.finish(err)
			return
		}
		if paced {
			pace.Reset(time.Until(l.opened.Add(frame.Mono)))
			select {
			case <-ctx.Done():
				l.finish(ErrClosed)
				return
			case <-pace.C:
			}
		} else {
			frame.Mono = time.Since(l.opened)
		}
		frame.Sequence, frame.Wall, frame.Source = sequence, time.Now(), l.identity
		sequence++
		l.publish(&frame, truth.Observe(&frame))
	}
}

// publish makes frame the newest and takes the memory of the one before.
func (l *live) publish(frame *Frame, untrue error) {
	l.mu.Lock()
	l.newest, *frame = *frame, l.newest
	l.fresh, l.arrived, l.untrue = true, time.Now(), untrue
	l.mu.Unlock()
	l.notify()
}

func (l *live) finish(err error) {
	l.mu.Lock()
	l.finished = err
	l.mu.Unlock()
	l.notify()
}

func (l *live) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *live) next(ctx context.Context, into *Frame) error {
	defer l.silence.Stop()
	for {
		ready, wait, err := l.take(into)
		if ready || err != nil {
			return err
		}
		l.silence.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		case <-l.silence.C:
		}
	}
}

// take hands out the newest picture if there is one worth having, and says
// otherwise how long the source may stay silent.
func (l *live) take(into *Frame) (ready bool, wait time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finished != nil && !(l.finished == io.EOF && l.fresh) {
		return false, 0, l.finished
	}
	silent := time.Since(l.arrived)
	if silent >= l.stall && l.finished == nil {
		// However fresh to its reader, a picture this old is not what stands
		// before the camera now.
		l.fresh = false
		return false, 0, fmt.Errorf("%w: no picture for %v", ErrCameraLost, silent.Round(time.Millisecond))
	}
	if !l.fresh {
		return false, l.stall - silent, nil
	}
	l.fresh = false
	if l.untrue != nil {
		return false, 0, l.untrue
	}
	*into, l.newest = l.newest, *into
	return true, 0, nil
}

func (l *live) close() error {
	l.stop()
	l.finish(ErrClosed)
	late := time.NewTimer(closeWait)
	defer late.Stop()
	select {
	case <-l.done:
		return nil
	case <-late.C:
		return fmt.Errorf("close %s %s: the device is stuck and is released when its driver returns",
			l.identity.Kind, l.identity.Name)
	}
}
