package capture

import (
	"context"
	"sync"
	"time"
)

// sequential hands out every picture of a finite source, read when asked for.
type sequential struct {
	identity Identity

	mu       sync.Mutex
	grabber  grabber // nil once closed
	sequence uint64
}

func (s *sequential) next(_ context.Context, into *Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grabber == nil {
		return ErrClosed
	}
	if err := s.grabber.grab(into); err != nil {
		return err
	}
	s.sequence++
	into.Sequence, into.Wall, into.Source = s.sequence, time.Now(), s.identity
	return nil
}

func (s *sequential) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grabber != nil {
		s.grabber.close()
		s.grabber = nil
	}
	return nil
}
