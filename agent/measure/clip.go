package measure

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/edgeverify/edgeverify/capture"
)

// framesOfClip is how many frames of a clip are examined.
const framesOfClip = 7

// readProbe reads a still image, or frames spread evenly over a video. Formats
// that a verification refuses are allowed: what is measured came from elsewhere.
func readProbe(ctx context.Context, path string) ([]*capture.Frame, error) {
	limits := capture.Limits{Formats: capture.AllFormats()}
	source, err := capture.Open(ctx, path, capture.Options{Limits: limits})
	if err != nil {
		return nil, err
	}
	kind := source.Identity().Kind
	if err := source.Close(); err != nil {
		return nil, err
	}
	if kind == capture.KindImage {
		frame, err := capture.ReadImage(path, limits)
		if err != nil {
			return nil, err
		}
		return []*capture.Frame{frame}, nil
	}
	// A container's header may lie about its length, so the clip is read once to
	// count its frames and once to keep some.
	var passing capture.Frame
	total := 0
	err = eachFrame(ctx, path, limits, func(int) *capture.Frame { return &passing }, func() bool {
		total++
		return true
	})
	if err != nil {
		return nil, err
	}
	wanted := evenly(total, framesOfClip)
	var frames []*capture.Frame
	err = eachFrame(ctx, path, limits, func(i int) *capture.Frame {
		if i == wanted[len(frames)] {
			frames = append(frames, new(capture.Frame))
			return frames[len(frames)-1]
		}
		return &passing
	}, func() bool { return len(frames) < len(wanted) })
	return frames, err
}

// eachFrame reads a source into the frames that into gives by index, while more
// says so.
func eachFrame(ctx context.Context, path string, limits capture.Limits, into func(i int) *capture.Frame, more func() bool) (err error) {
	source, err := capture.Open(ctx, path, capture.Options{Limits: limits})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	for i := 0; ; i++ {
		err := source.Next(ctx, into(i))
		if errors.Is(err, io.EOF) && i > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("picture %d: %w", i+1, err)
		}
		if !more() {
			return nil
		}
	}
}

// evenly picks n of total indices: the middles of n equal parts, or all.
func evenly(total, n int) []int {
	n = min(n, total)
	picked := make([]int, n)
	for k := range picked {
		picked[k] = (2*k + 1) * total / (2 * n)
	}
	return picked
}
