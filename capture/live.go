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

// A history is what outlasts the reopening of a source, so that frames keep
// their order and a replay cannot hide behind a lost connection. While a live
// source runs it belongs to its goroutine, except for opening.
type history struct {
	opening  chan struct{} // holds one token while the source is being opened
	truth    *Truth
	opened   time.Time
	sequence uint64 // of the last picture
}

func newHistory(limits TruthLimits) *history {
	return &history{opening: make(chan struct{}, 1), truth: NewTruth(limits), opened: time.Now()}
}

func newLive(g grabber, identity Identity, stall time.Duration, past *history, paced bool) *live {
	ctx, stop := context.WithCancel(context.Background())
	l := &live{
		identity: identity,
		stall:    stall,
		arrived:  time.Now(),
		stop:     stop,
		done:     make(chan struct{}),
		wake:     make(chan struct{}, 1),
		silence:  time.NewTimer(stall),
	}
	go l.read(ctx, g, past, paced)
	return l
}

// read owns the grabber: only here is it used, and only here closed.
func (l *live) read(ctx context.Context, g grabber, past *history, paced bool) {
	defer close(l.done)
	defer g.close()
	begun := time.Now()
	pace := time.NewTimer(0)
	defer pace.Stop()
	var frame Frame
	for {
		err := g.grab(&frame)
		if ctx.Err() != nil {
			l.finish(ErrClosed)
			return
		}
		damaged := errors.Is(err, ErrImage)
		if err != nil && !damaged {
			l.finish(err)
			return
		}
		if paced {
			pace.Reset(time.Until(begun.Add(frame.Mono)))
			select {
			case <-ctx.Done():
				l.finish(ErrClosed)
				return
			case <-pace.C:
			}
		} else {
			frame.Mono = time.Since(past.opened)
		}
		if damaged {
			l.publish(&frame, err)
			continue
		}
		past.sequence++
		frame.Sequence, frame.Wall, frame.Source = past.sequence, time.Now(), l.identity
		l.publish(&frame, past.truth.Observe(&frame))
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
	if l.finished == nil || err == ErrClosed {
		l.finished = err
	}
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
