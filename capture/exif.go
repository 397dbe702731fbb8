package capture

import "encoding/binary"

// exifOrientation returns the orientation, 1 to 8, of an EXIF block (a TIFF
// header and its first directory, CIPA DC-008). Whatever is damaged or missing
// means 1: a picture is not refused for its metadata.
func exifOrientation(tiff []byte) int {
	const upright = 1
	if len(tiff) < 8 {
		return upright
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	start := int64(order.Uint32(tiff[4:]))
	if start < 8 || start+2 > int64(len(tiff)) {
		return upright
	}
	directory := tiff[start:]
	entries := int(order.Uint16(directory))
	directory = directory[2:]
	for range entries {
		if len(directory) < 12 {
			return upright
		}
		tag, kind, count := order.Uint16(directory), order.Uint16(directory[2:]), order.Uint32(directory[4:])
		if tag == 0x0112 {
			value := int(order.Uint16(directory[8:]))
			if kind != 3 || count != 1 || value < 1 || value > 8 {
				return upright
			}
			return value
		}
		directory = directory[12:]
	}
	return upright
}
