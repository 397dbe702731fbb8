package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"gocv.io/x/gocv"
)

// video reads pictures through OpenCV: a camera, a file, a stream or a pipeline.
type video struct {
	capture       *gocv.VideoCapture
	limits        Limits
	width, height int // of the last picture: what the next is expected to be
	finite        bool
	pictures      int
	interval      time.Duration // between pictures of a file, as its header says
	last          time.Duration // Mono of the last picture of a file
}

// openVideo opens the capture of t. Whoever holds slot is opening: a source that
// is opened again does not pile up openings of one stuck device.
func openVideo(ctx context.Context, t target, opts Options, slot chan struct{}) (grabber, error) {
	var timeout time.Duration
	if t.identity.Kind != KindVideo {
		timeout = max(opts.Stall, leastOpenTimeout)
	}
	capture, err := openWithin(ctx, timeout, slot, func() (*gocv.VideoCapture, error) { return openCapture(t, opts) })
	if err != nil {
		return nil, err
	}
	v := &video{
		capture: capture,
		limits:  opts.Limits,
		width:   int(capture.Get(gocv.VideoCaptureFrameWidth)),
		height:  int(capture.Get(gocv.VideoCaptureFrameHeight)),
		finite:  t.identity.Kind == KindVideo,
	}
	v.interval = time.Second / 30
	if fps := capture.Get(gocv.VideoCaptureFPS); fps >= 1 && fps <= 1000 {
		v.interval = time.Duration(float64(time.Second) / fps)
	}
	if err := v.checkSize(); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// openWithin calls open on a goroutine of its own, because a driver or a server
// may keep it waiting and cannot be interrupted. It waits no longer than timeout,
// if that is not zero, also for an earlier opening to give the slot back, and
// then returns ErrCameraLost. If it stopped waiting, that goroutine closes what
// it opened and only then gives the slot back.
func openWithin(ctx context.Context, timeout time.Duration, slot chan struct{},
	open func() (*gocv.VideoCapture, error)) (*gocv.VideoCapture, error) {
	inTime := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		inTime, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	late := func() error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: it did not open within %v", ErrCameraLost, timeout)
	}
	select {
	case slot <- struct{}{}:
	case <-inTime.Done():
		return nil, late()
	}
	type result struct {
		capture *gocv.VideoCapture
		err     error
	}
	opened := make(chan result)
	go func() {
		defer func() { <-slot }()
		capture, err := open()
		if err != nil {
			capture.Close()
			capture = nil
		}
		select {
		case opened <- result{capture, err}:
		case <-inTime.Done():
			if capture != nil {
				capture.Close()
			}
		}
	}()
	select {
	case <-inTime.Done():
		return nil, late()
	case r := <-opened:
		return r.capture, r.err
	}
}

// Settings of OpenCV's FFmpeg backend that gocv has no names for.
const (
	propOpenTimeout = 53 // CAP_PROP_OPEN_TIMEOUT_MSEC
	propReadTimeout = 54 // CAP_PROP_READ_TIMEOUT_MSEC
)

// openCapture always returns a capture to be closed. gocv's own errors repeat
// the location, which may hold a password, and so are not passed on.
func openCapture(t target, opts Options) (*gocv.VideoCapture, error) {
	switch t.identity.Kind {
	case KindCamera:
		// OpenCV writes a warning to standard error for a device that is absent.
		if _, err := os.Stat(fmt.Sprintf("/dev/video%d", t.device)); err != nil {
			return new(gocv.VideoCapture), fmt.Errorf("%w: it is absent", ErrCameraLost)
		}
		capture, err := gocv.VideoCaptureDeviceWithAPI(t.device, gocv.VideoCaptureV4L2)
		if err != nil {
			return capture, fmt.Errorf("%w: it cannot be opened: in use, not permitted, or no camera", ErrCameraLost)
		}
		configure(capture, opts)
		return capture, nil
	case KindPipeline:
		if !gocv.VideoRegistry.HasBackend(gocv.VideoCaptureGstreamer) {
			return new(gocv.VideoCapture), fmt.Errorf("%w: this OpenCV was built without GStreamer", ErrSource)
		}
		capture, err := gocv.VideoCaptureFileWithAPI(t.location, gocv.VideoCaptureGstreamer)
		if err != nil {
			return capture, fmt.Errorf("%w: the pipeline cannot be started", ErrCameraLost)
		}
		return capture, nil
	case KindStream:
		capture, err := gocv.VideoCaptureFileWithAPIParams(t.location, gocv.VideoCaptureFFmpeg,
			[]gocv.VideoCaptureProperties{
				propOpenTimeout, milliseconds(max(opts.Stall, leastOpenTimeout)),
				propReadTimeout, milliseconds(opts.Stall),
			})
		if err != nil {
			return capture, fmt.Errorf("%w: the stream cannot be opened", ErrCameraLost)
		}
		return capture, nil
	default:
		if err := checkContainer(t.location); err != nil {
			return new(gocv.VideoCapture), err
		}
		capture, err := gocv.VideoCaptureFileWithAPI(t.location, gocv.VideoCaptureFFmpeg)
		if err != nil {
			return capture, fmt.Errorf("%w: it is not a video that can be read", ErrNoPictures)
		}
		return capture, nil
	}
}

func milliseconds(d time.Duration) gocv.VideoCaptureProperties {
	return gocv.VideoCaptureProperties(min(d.Milliseconds(), math.MaxInt32))
}

func configure(capture *gocv.VideoCapture, opts Options) {
	// The pixel format goes first: it decides which sizes a camera offers.
	if len(opts.FourCC) == 4 {
		capture.Set(gocv.VideoCaptureFOURCC, capture.ToCodec(opts.FourCC))
	}
	if opts.Width > 0 && opts.Height > 0 {
		capture.Set(gocv.VideoCaptureFrameWidth, float64(opts.Width))
		capture.Set(gocv.VideoCaptureFrameHeight, float64(opts.Height))
	}
	if opts.FPS > 0 {
		capture.Set(gocv.VideoCaptureFPS, opts.FPS)
	}
	// The driver's queue only makes pictures older: we keep the newest ourselves.
	capture.Set(gocv.VideoCaptureBufferSize, 1)
}

func (v *video) checkSize() error {
	if int64(v.width)*int64(v.height) > v.limits.MaxPixels || max(v.width, v.height) > v.limits.MaxSide {
		return &ImageError{RulePixels, fmt.Sprintf("video of %d×%d pixels exceeds %g megapixels or %d on a side",
			v.width, v.height, float64(v.limits.MaxPixels)/1e6, v.limits.MaxSide)}
	}
	return nil
}

var errNoMore = errors.New("no more pictures")

func (v *video) grab(into *Frame) error {
	// A source that does not tell its size ahead is asked for one pixel and
	// then brings its own memory.
	err := fill(into, max(1, v.width), max(1, v.height), func(to *gocv.Mat) error {
		if !v.capture.Read(to) {
			return errNoMore
		}
		return nil
	})
	switch {
	case err != nil && !v.finite:
		return fmt.Errorf("%w: %w", ErrCameraLost, err)
	case err != nil && v.pictures == 0:
		return ErrNoPictures
	case err != nil:
		return io.EOF
	}
	v.width, v.height = into.Width, into.Height
	if err := v.checkSize(); err != nil {
		return err
	}
	if v.finite {
		if err := v.stamp(into); err != nil {
			return err
		}
	}
	v.pictures++
	return nil
}

// stamp gives a picture of a file the file's own time.
func (v *video) stamp(into *Frame) error {
	at := v.capture.Get(gocv.VideoCapturePosMsec)
	mono := time.Duration(at * float64(time.Millisecond))
	if at == 0 && v.pictures > 0 {
		// The last pictures that a decoder still held at the end of a file come
		// without a time.
		mono = v.last + v.interval
	}
	if math.IsNaN(at) || at < 0 || v.pictures > 0 && mono <= v.last {
		return fmt.Errorf("%w: picture %d at %v follows one at %v", ErrFrameOrder, v.pictures+1, mono, v.last)
	}
	into.Mono, v.last = mono, mono
	return nil
}

func (v *video) close() { v.capture.Close() }
