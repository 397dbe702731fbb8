package capture

import (
	"bytes"
	"encoding/binary"
	"math"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"
)

// inspectWebP reads the RIFF chunks of a WebP (RFC 9649).
func inspectWebP(data []byte) (header, error) {
	size := int64(binary.LittleEndian.Uint32(data[4:])) + 8
	if size > int64(len(data)) {
		return header{}, truncated(WebP)
	}
	if len(data) >= 21 && string(data[12:16]) == "VP8X" && data[20]&0x02 != 0 {
		return header{}, &ImageError{RuleAnimated, "the WebP is animated; one still picture is needed"}
	}
	config, err := webp.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return header{}, corrupt(WebP, "its dimensions cannot be read")
	}
	return header{width: config.Width, height: config.Height, orientation: 1}, nil
}

// inspectGIF walks the blocks of a GIF (GIF89a specification) to its trailer.
func inspectGIF(data []byte) (header, error) {
	if len(data) < 13 {
		return header{}, truncated(GIF)
	}
	h := header{
		width:       int(binary.LittleEndian.Uint16(data[6:])),
		height:      int(binary.LittleEndian.Uint16(data[8:])),
		orientation: 1,
	}
	colours := func(flags byte) int {
		if flags&0x80 == 0 {
			return 0
		}
		return 3 << (flags&7 + 1)
	}
	p := 13 + colours(data[10])
	for pictures := 0; ; {
		if p >= len(data) {
			return header{}, truncated(GIF)
		}
		switch data[p] {
		case 0x21: // extension
			p += 2
		case 0x2c: // picture
			if pictures++; pictures > 1 {
				return header{}, &ImageError{RuleAnimated, "the GIF is animated; one still picture is needed"}
			}
			if p+11 > len(data) {
				return header{}, truncated(GIF)
			}
			// A picture smaller than the canvas would come out in another size.
			if binary.LittleEndian.Uint64(data[p+1:]) != uint64(h.width)<<32|uint64(h.height)<<48 {
				return header{}, corrupt(GIF, "its picture does not fill its canvas")
			}
			p += 11 + colours(data[p+9])
		case 0x3b: // trailer
			if pictures == 0 {
				return header{}, corrupt(GIF, "it holds no picture")
			}
			return h, nil
		default:
			return header{}, corrupt(GIF, "an unknown block")
		}
		for { // sub-blocks, ended by an empty one
			if p >= len(data) {
				return header{}, truncated(GIF)
			}
			n := int(data[p])
			p += n + 1
			if n == 0 {
				break
			}
		}
	}
}

// inspectBMP reads a bitmap's header.
func inspectBMP(data []byte) (header, error) {
	config, err := bmp.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return header{}, corrupt(BMP, "its header cannot be read, or is of a rare kind")
	}
	if size := binary.LittleEndian.Uint32(data[2:]); size <= math.MaxInt32 && int(size) > len(data) {
		return header{}, truncated(BMP)
	}
	return header{width: config.Width, height: config.Height, orientation: 1}, nil
}
