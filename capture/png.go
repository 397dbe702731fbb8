package capture

import (
	"encoding/binary"
	"math"
)

// inspectPNG walks the chunks of a PNG (ISO/IEC 15948) to its end.
func inspectPNG(data []byte) (header, error) {
	h := header{orientation: 1}
	first, pixels := true, false
	wide, interlaced := false, false // sixteen bits a sample; seven passes
	for rest := data[8:]; ; {
		if len(rest) < 12 {
			return header{}, truncated(PNG)
		}
		length, kind := binary.BigEndian.Uint32(rest), string(rest[4:8])
		if length > math.MaxInt32 {
			return header{}, corrupt(PNG, "a chunk is too long")
		}
		if int64(length)+12 > int64(len(rest)) {
			return header{}, truncated(PNG)
		}
		body := rest[8 : 8+length]
		rest = rest[12+length:]
		if first != (kind == "IHDR") {
			return header{}, corrupt(PNG, "its dimensions are missing or given twice")
		}
		first = false
		switch kind {
		case "IHDR":
			if len(body) != 13 {
				return header{}, corrupt(PNG, "its dimensions are missing")
			}
			h.width = int(min(binary.BigEndian.Uint32(body), math.MaxInt32))
			h.height = int(min(binary.BigEndian.Uint32(body[4:]), math.MaxInt32))
			h.alpha = body[9] == 4 || body[9] == 6
			wide, interlaced = body[8] == 16, body[12] != 0
		case "tRNS":
			h.alpha = true
		case "acTL":
			return header{}, &ImageError{RuleAnimated, "the PNG is animated; one still picture is needed"}
		case "eXIf":
			h.orientation = exifOrientation(body)
		case "IDAT":
			pixels = true
		case "IEND":
			if !pixels {
				return header{}, corrupt(PNG, "it holds no picture")
			}
			h.heavy = h.alpha && wide && interlaced
			return h, nil
		}
	}
}
