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
// or ErrReplayed where there are several of them. A finite source may give
// fewer, at least one.
func Gather(ctx context.Context, s *Source, n int) ([]*Frame, error) {
	live := slices.Contains([]Kind{KindCamera, KindStream, KindPipeline}, s.Identity().Kind)
	truth := NewTruth(TruthLimits{})
	seen := map[uint64]bool{}
	var frames []*Frame
	for looked := 0; len(frames) < n; looked++ {
		if looked == gatherPatience*n {
			err := ErrReplayed
			if len(seen) == 1 {
				err = ErrCameraFrozen
			}
			return nil, fmt.Errorf("%w: %d different pictures among %d", err, len(seen), looked)
		}
		frame := new(Frame)
		err := s.Next(ctx, frame)
		if errors.Is(err, io.EOF) && len(frames) > 0 {
			return frames, nil
		}
		if err != nil {
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
