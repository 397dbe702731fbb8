package capture

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A target is a parsed specification of a source.
type target struct {
	identity Identity
	location string // what is opened: a path, a URL or a pipeline
	device   int    // of a camera: N of /dev/videoN
}

// parse tells the kinds of source apart by the form of the specification; only
// for a path does it look at the disk.
func parse(spec string) (target, error) {
	if index, ok := strings.CutPrefix(spec, "camera:"); ok {
		return camera(index, spec)
	}
	if isDigits(spec) {
		return camera(spec, spec)
	}
	if pipeline, ok := strings.CutPrefix(spec, "gst:"); ok {
		if strings.TrimSpace(pipeline) == "" {
			return target{}, fmt.Errorf("%w: the pipeline after gst: is empty", ErrSource)
		}
		// A pipeline may hold a password anywhere, so its name says nothing.
		return target{identity: Identity{Kind: KindPipeline, Name: "gstreamer"}, location: pipeline}, nil
	}
	if scheme, _, ok := strings.Cut(spec, "://"); ok {
		return stream(scheme, spec)
	}
	if strings.HasPrefix(spec, "/dev/") {
		// Names such as /dev/v4l/by-id/… are links to the device.
		node, err := filepath.EvalSymlinks(spec)
		if err != nil {
			return target{}, fmt.Errorf("%w: %w", ErrCameraLost, err)
		}
		if index, ok := strings.CutPrefix(node, "/dev/video"); ok {
			return camera(index, spec)
		}
		return target{}, fmt.Errorf("%w: %s is not a video device", ErrSource, spec)
	}
	return path(spec)
}

func camera(index, spec string) (target, error) {
	n, err := strconv.ParseUint(index, 10, 16)
	if err != nil || !isDigits(index) {
		return target{}, fmt.Errorf("%w: %q is not a camera; use camera:N or /dev/videoN", ErrSource, spec)
	}
	return target{
		identity: Identity{Kind: KindCamera, Name: fmt.Sprintf("video%d", n)},
		device:   int(n),
	}, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func stream(scheme, spec string) (target, error) {
	switch scheme {
	case "rtsp", "rtsps", "http", "https":
	default:
		return target{}, fmt.Errorf("%w: streams are rtsp, rtsps, http or https", ErrSource)
	}
	// The parser's own error would repeat the URL, and a password with it.
	u, err := url.Parse(spec)
	if err != nil || u.Host == "" {
		return target{}, fmt.Errorf("%w: the stream's URL has no host or is malformed", ErrSource)
	}
	return target{identity: Identity{Kind: KindStream, Name: u.Host}, location: spec}, nil
}

func path(spec string) (target, error) {
	if spec == "" {
		return target{}, fmt.Errorf("%w: the specification is empty", ErrSource)
	}
	absolute, err := filepath.Abs(spec)
	if err != nil {
		return target{}, fmt.Errorf("%w: %w", ErrSource, err)
	}
	info, err := os.Stat(absolute)
	if err != nil {
		return target{}, fmt.Errorf("%w: %w", ErrSource, err)
	}
	t := target{identity: Identity{Name: filepath.Base(absolute)}, location: absolute}
	switch {
	case info.IsDir():
		t.identity.Kind = KindFolder
	case isImageName(absolute):
		t.identity.Kind = KindImage
	default:
		t.identity.Kind = KindVideo
	}
	return t, nil
}

// isImageName tells which files of a folder are meant as pictures. What they
// really are is for Decode to say. A GIF counts as a video: it usually is one.
func isImageName(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jpg", ".jpeg", ".png", ".webp", ".bmp":
		return true
	}
	return false
}
