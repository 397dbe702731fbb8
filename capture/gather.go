package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// gatherPatience is how many pictures of a live source are looked at for each
// one that is wanted. Drivers repeat a picture two or three times when the light
// is poor.
const gatherPatience = 4

// Gather takes n pictures of a source. Those of a live one are all different,
// as a sensor's are: one that shows pictures again instead is ErrCameraFrozen,
// or ErrReplayed where there are several of them. A picture of a live source that
// is damaged is passed over; where most are, the error is that of the last one. A
// finite source may give fewer pictures than n, at least one, and a damaged one
// of them is an error.
func Gather(ctx context.Context, s *Source, n int) ([]*Frame, error) {
	live := slices.Contains([]Kind{KindCamera, KindStream, KindPipeline}, s.Identity().Kind)
	truth := NewTruth(TruthLimits{})
	seen := map[uint64]bool{}
	var frames []*Frame
	var damaged int
	var damage error // of the last damaged picture
	for looked := 0; len(frames) < n; looked++ {
		if looked == gatherPatience*n {
			return nil, exhausted(looked, len(seen), damaged, damage)
		}
		frame := new(Frame)
		err := s.Next(ctx, frame)
		switch {
		case errors.Is(err, io.EOF) && len(frames) > 0:
			return frames, nil
		case live && errors.Is(err, ErrImage):
			damaged, damage = damaged+1, err
			continue
		case err != nil:
			return nil, err
		}
		if live {
			hash := truth.hash(frame)
			if seen[hash] {
				continue
			}
			seen[hash] = true
		}
		frames = append(frames, frame)
	}
	return frames, nil
}

// exhausted says why too few of the pictures looked at were of use.
func exhausted(looked, different, damaged int, damage error) error {
	repeated := looked - different - damaged
	switch {
	case damaged > repeated:
		return fmt.Errorf("%d of %d pictures damaged: %w", damaged, looked, damage)
	case different == 1:
		return fmt.Errorf("%w: 1 different picture among %d", ErrCameraFrozen, looked)
	}
	return fmt.Errorf("%w: %d different pictures among %d", ErrReplayed, different, looked)
}
