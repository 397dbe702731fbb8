package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A header is what a file says about its picture before it is decoded.
type header struct {
	format        Format
	width, height int
	orientation   int  // EXIF: 1 upright, 2 to 8 turned or mirrored
	alpha         bool // some pixels may be transparent
	heavy         bool // decoding takes heavyBytes a pixel, not pixelBytes
}

// What decoding takes at most, in bytes a pixel. A heavy picture is held twice at
// eight bytes, whole and in its seven passes, beside the frame's three.
const (
	pixelBytes = 12
	heavyBytes = 8 + 8 + 3
)

// inspect reads the structure of an image file and holds it against the limits.
// It decodes no pixel and its work is linear in the size of the file.
func inspect(data []byte, limits Limits) (header, error) {
	if len(data) == 0 {
		return header{}, &ImageError{RuleEmpty, "the file is empty"}
	}
	if int64(len(data)) > limits.MaxBytes {
		return header{}, &ImageError{RuleBytes, fmt.Sprintf("the file is larger than %s", megabytes(limits.MaxBytes))}
	}
	format := sniff(data)
	if !slices.Contains(limits.Formats, format) {
		return header{}, &ImageError{RuleFormat,
			fmt.Sprintf("the file is %s, not %s", kindOf(data, format), either(limits.Formats))}
	}
	var h header
	var err error
	switch format {
	case JPEG:
		h, err = inspectJPEG(data)
	case PNG:
		h, err = inspectPNG(data)
	case WebP:
		h, err = inspectWebP(data)
	case GIF:
		h, err = inspectGIF(data)
	case BMP:
		h, err = inspectBMP(data)
	}
	if err != nil {
		return header{}, err
	}
	h.format = format
	if h.width <= 0 || h.height <= 0 {
		return header{}, &ImageError{RuleCorrupt, fmt.Sprintf("the %s says that it is %d×%d pixels", format, h.width, h.height)}
	}
	if int64(h.width)*int64(h.height) > limits.MaxPixels {
		return header{}, &ImageError{RulePixels, fmt.Sprintf("%d×%d pixels exceeds %g megapixels",
			h.width, h.height, float64(limits.MaxPixels)/1e6)}
	}
	if h.heavy && int64(h.width)*int64(h.height)*heavyBytes > limits.MaxPixels*pixelBytes {
		return header{}, &ImageError{RulePixels, fmt.Sprintf("%d×%d pixels exceeds %.1f megapixels, the limit of a %s that is interlaced, transparent and of 16 bits",
			h.width, h.height, float64(limits.MaxPixels*pixelBytes/heavyBytes)/1e6, format)}
	}
	if max(h.width, h.height) > limits.MaxSide {
		return header{}, &ImageError{RulePixels, fmt.Sprintf("%d×%d pixels exceeds %d on a side",
			h.width, h.height, limits.MaxSide)}
	}
	return h, nil
}

func sniff(data []byte) Format {
	has := func(prefix string) bool { return bytes.HasPrefix(data, []byte(prefix)) }
	switch {
	case has("\xff\xd8\xff"):
		return JPEG
	case has("\x89PNG\r\n\x1a\n"):
		return PNG
	case has("RIFF") && len(data) >= 12 && string(data[8:12]) == "WEBP":
		return WebP
	case has("GIF87a"), has("GIF89a"):
		return GIF
	// "BM" alone begins too many things; a bitmap's reserved words are zero.
	case has("BM") && len(data) >= 26 && binary.LittleEndian.Uint32(data[6:]) == 0:
		return BMP
	}
	return ""
}

// kindOf names a file for the person who sent it.
func kindOf(data []byte, format Format) string {
	if format != "" {
		return "a " + string(format)
	}
	known := []struct {
		signature
		name string
	}{
		{signature{0, "%PDF-"}, "a PDF"},
		{signature{4, "ftypheic"}, "a HEIC"}, {signature{4, "ftypheix"}, "a HEIC"},
		{signature{4, "ftypmif1"}, "a HEIF"}, {signature{4, "ftypavif"}, "an AVIF"},
		{signature{4, "ftyp"}, "a video"}, {signature{0, "\x1aE\xdf\xa3"}, "a video"},
		{signature{0, "II*\x00"}, "a TIFF"}, {signature{0, "MM\x00*"}, "a TIFF"},
		{signature{0, "PK\x03\x04"}, "a ZIP"}, {signature{0, "<svg"}, "an SVG"}, {signature{0, "<?xml"}, "an XML document"},
		{signature{0, "\xff\x0a"}, "a JPEG XL"}, {signature{0, "\x00\x00\x00\x0cjP"}, "a JPEG 2000"},
	}
	for _, k := range known {
		if k.of(data) {
			return k.name
		}
	}
	return "of an unknown kind"
}

func either(formats []Format) string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func megabytes(n int64) string { return fmt.Sprintf("%g MB", float64(n)/1e6) }

func truncated(format Format) error {
	return &ImageError{RuleTruncated, fmt.Sprintf("the %s ends before its picture does", format)}
}

func corrupt(format Format, what string) error {
	return &ImageError{RuleCorrupt, fmt.Sprintf("the %s is damaged: %s", format, what)}
}
