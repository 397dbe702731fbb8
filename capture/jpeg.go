package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// maxScans bounds the work of a progressive JPEG: each scan visits every pixel
// again. Encoders write about ten.
const maxScans = 40

// inspectJPEG walks the markers of a JPEG (ITU-T T.81 annex B) to its end.
// libjpeg fills what is missing of a cut file with grey and reports success, so
// a missing end is found here.
func inspectJPEG(data []byte) (header, error) {
	h := header{orientation: 1}
	frames, scans := 0, 0
	oriented := false
	for p := 2; ; {
		// A marker is 0xFF, any number of 0xFF as padding, and a code.
		for p < len(data) && data[p] == 0xff && p+1 < len(data) && data[p+1] == 0xff {
			p++
		}
		if p+2 > len(data) {
			return header{}, truncated(JPEG)
		}
		if data[p] != 0xff {
			return header{}, corrupt(JPEG, "a marker is missing")
		}
		code := data[p+1]
		p += 2
		if code == 0xd9 { // EOI
			break
		}
		if code == 0x01 || code >= 0xd0 && code <= 0xd7 { // stands alone
			continue
		}
		if p+2 > len(data) {
			return header{}, truncated(JPEG)
		}
		length := int(binary.BigEndian.Uint16(data[p:]))
		if length < 2 {
			return header{}, corrupt(JPEG, "a segment is too short")
		}
		if p+length > len(data) {
			return header{}, truncated(JPEG)
		}
		segment := data[p+2 : p+length]
		p += length
		switch {
		case isFrameMarker(code):
			if frames++; frames > 1 {
				return header{}, corrupt(JPEG, "it holds two pictures in one")
			}
			if err := h.readJPEGFrame(code, segment); err != nil {
				return header{}, err
			}
		case code == 0xe1 && !oriented:
			if exif, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok {
				h.orientation, oriented = exifOrientation(exif), true
			}
		case code == 0xda: // SOS: entropy-coded data follows
			if frames == 0 {
				return header{}, corrupt(JPEG, "its dimensions are missing")
			}
			if scans++; scans > maxScans {
				return header{}, corrupt(JPEG, fmt.Sprintf("it has more than %d scans", maxScans))
			}
			end := scanEnd(data[p:])
			if end < 0 {
				return header{}, truncated(JPEG)
			}
			p += end
		}
	}
	if scans == 0 {
		return header{}, corrupt(JPEG, "it holds no picture")
	}
	return h, nil
}

// isFrameMarker tells SOF0 to SOF15 from DHT, JPG and DAC, which lie among them.
func isFrameMarker(code byte) bool {
	return code >= 0xc0 && code <= 0xcf && code != 0xc4 && code != 0xc8 && code != 0xcc
}

func (h *header) readJPEGFrame(code byte, segment []byte) error {
	if code != 0xc0 && code != 0xc1 && code != 0xc2 {
		return &ImageError{RuleColour, "lossless, hierarchical and arithmetic-coded JPEG are not supported"}
	}
	if len(segment) < 6 {
		return corrupt(JPEG, "its dimensions are missing")
	}
	if bits := segment[0]; bits != 8 {
		return &ImageError{RuleColour, fmt.Sprintf("a JPEG of %d bits per colour is not supported, only 8", bits)}
	}
	h.height = int(binary.BigEndian.Uint16(segment[1:]))
	h.width = int(binary.BigEndian.Uint16(segment[3:]))
	// One component is grey, three are colour, four are CMYK or YCCK.
	if n := segment[5]; n != 1 && n != 3 && n != 4 {
		return &ImageError{RuleColour, fmt.Sprintf("a JPEG of %d colour components is not supported", n)}
	}
	return nil
}

// scanEnd returns where the next marker after entropy-coded data begins, or -1.
// Within the data 0xFF is followed by a stuffed zero, padding or a restart marker.
func scanEnd(data []byte) int {
	for i := 0; ; {
		j := bytes.IndexByte(data[i:], 0xff)
		if j < 0 || i+j+1 >= len(data) {
			return -1
		}
		i += j
		if next := data[i+1]; next != 0 && next != 0xff && (next < 0xd0 || next > 0xd7) {
			return i
		} else if next == 0xff {
			i++
		} else {
			i += 2
		}
	}
}
