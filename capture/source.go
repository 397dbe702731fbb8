package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Options are how to open a source. The zero value is ready to use.
type Options struct {
	// Limits hold for images, and their pixels for video too.
	Limits Limits
	// Newest makes a finite source behave like a camera: it plays at its own
	// pace, Next returns the newest picture and drops those it passed, and a
	// Truth watches it.
	Newest bool
	// Width, Height and FPS are asked of a camera; it may give others. FPS is
	// also the pace of a folder, 10 pictures a second by default.
	Width, Height int
	FPS           float64
	// FourCC is the pixel format asked of a camera, such as "MJPG"; empty leaves
	// the driver's choice.
	FourCC string
	// Stall is how long a live source may be silent before it counts as lost, 3 s
	// by default, and how long opening one may take, at least 5 s. A driver that
	// takes longer is left to itself, and what it opens then is closed.
	Stall time.Duration
	// Truth is when a live source counts as frozen or replayed.
	Truth TruthLimits
	// Allowed lists the cameras whose frames are attested; none by default.
	Allowed []CameraID
	// Sysfs is the folder where the kernel describes devices: /sys by default.
	Sysfs string
}

const (
	defaultStall     = 3 * time.Second
	leastOpenTimeout = 5 * time.Second
	defaultFolderFPS = 10
)

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if !(o.FPS > 0 && o.FPS <= 1000) { // NaN too
		o.FPS = 0
	}
	if o.Sysfs == "" {
		o.Sysfs = "/sys"
	}
	return o
}

// A grabber reads one picture after another into into, reusing its memory, and
// sets into.Mono where the source has timestamps of its own. io.EOF ends a finite
// source. An error matching ErrImage concerns one picture; any other ends it.
type grabber interface {
	grab(into *Frame) error
	close()
}

// A Source hands out pictures when asked. Next is for one goroutine; Close may
// be called from any. Whoever opens a source closes it.
type Source struct {
	identity Identity
	feed     feed
}

// A feed decides which picture comes next: each one, or the newest.
type feed interface {
	next(ctx context.Context, into *Frame) error
	close() error
}

// Open opens the source that spec names:
//
//	camera:0, 0, /dev/video0, /dev/v4l/by-id/…   a V4L2 camera
//	clip.mp4                                     a video file
//	photo.jpg, photos/                           an image, or those of a folder by name
//	rtsp://…, rtsps://…, http://…, https://…     a stream
//	gst:v4l2src ! … ! appsink                    a GStreamer pipeline
//
// Errors match ErrSource for a bad specification and ErrCameraLost for a live
// source that cannot be opened. No error repeats a URL or a pipeline.
func Open(ctx context.Context, spec string, opts Options) (*Source, error) {
	return open(ctx, spec, opts, newHistory(opts.Truth))
}

func open(ctx context.Context, spec string, opts Options, past *history) (*Source, error) {
	opts = opts.withDefaults()
	t, err := parse(spec)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	if t.identity.Kind == KindCamera {
		t.identity = describe(opts.Sysfs, t.identity, opts.Allowed)
	}
	g, err := openGrabber(ctx, t, opts, past.opening)
	if err != nil {
		return nil, fmt.Errorf("open %s %s: %w", t.identity.Kind, t.identity.Name, err)
	}
	// The identity was read before the device was opened. Were the camera
	// changed for another in between, it would vouch for the wrong one.
	if t.identity.Kind == KindCamera && describe(opts.Sysfs, t.identity, opts.Allowed) != t.identity {
		g.close()
		return nil, fmt.Errorf("open camera %s: %w: it was exchanged while it was opened", t.identity.Name, ErrCameraLost)
	}
	s := &Source{identity: t.identity}
	switch t.identity.Kind {
	case KindCamera, KindStream, KindPipeline:
		s.feed = newLive(g, t.identity, opts.Stall, past, false)
	default:
		if opts.Newest {
			s.feed = newLive(g, t.identity, opts.Stall, past, true)
		} else {
			s.feed = &sequential{grabber: g, identity: t.identity}
		}
	}
	return s, nil
}

func openGrabber(ctx context.Context, t target, opts Options, slot chan struct{}) (grabber, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch t.identity.Kind {
	case KindImage, KindFolder:
		return openFolder(t, opts)
	default:
		return openVideo(ctx, t, opts, slot)
	}
}

// Identity says what the source is.
func (s *Source) Identity() Identity { return s.identity }

// Next waits for a picture that was not handed out yet and writes it into into.
// A finite source hands out each in turn and then io.EOF, unless opened with
// Newest; a live source hands out the newest and has forgotten the others.
//
// The memory of into.Pixels belongs to the source during the call and may be
// exchanged for another's, so a slice of it kept from before is no longer valid.
//
// Errors: the context's; ErrCameraLost, ErrCameraFrozen, ErrReplayed and
// ErrFrameOrder of a live source, where a later call may succeed except after
// the device itself gave up; *ImageError for one bad picture of a folder, where
// the next call continues with the one after; ErrClosed.
func (s *Source) Next(ctx context.Context, into *Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.feed.next(ctx, into)
	if err == nil || err == io.EOF || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%s %s: %w", s.identity.Kind, s.identity.Name, err)
}

// Close releases the source. A device that is stuck in its driver is released
// as soon as the driver returns; Close does not wait for it longer than a second.
func (s *Source) Close() error { return s.feed.close() }
