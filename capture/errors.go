package capture

import "errors"

// What a source may report. They are tested for with errors.Is.
var (
	// ErrSource says that a specification names no kind of source, or one that
	// this build of OpenCV cannot open.
	ErrSource = errors.New("unknown source")
	// ErrNoPictures says that a file or folder holds no picture.
	ErrNoPictures = errors.New("source holds no picture")
	// ErrCameraLost says that a live source is gone, cannot be opened, or has
	// delivered nothing for Options.Stall.
	ErrCameraLost = errors.New("camera lost")
	// ErrCameraFrozen says that a live source repeats one picture.
	ErrCameraFrozen = errors.New("camera frozen")
	// ErrReplayed says that a live source plays the same pictures again.
	ErrReplayed = errors.New("frames replayed")
	// ErrFrameOrder says that times or sequence numbers do not increase.
	ErrFrameOrder = errors.New("frames out of order")
	// ErrClosed says that the source was closed.
	ErrClosed = errors.New("source closed")
)
