package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// hugePNG is the structure of a PNG: a header and a picture that nobody decodes.
func hugePNG(width, height uint32, bits, colour, interlace byte, chunks ...[]byte) []byte {
	ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	ihdr = append(ihdr, bits, colour, 0, 0, interlace)
	parts := append([][]byte{[]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", ihdr)}, chunks...)
	return bytes.Join(append(parts, pngChunk("IDAT", []byte{0}), pngChunk("IEND", nil)), nil)
}

func TestPNGThatTakesMoreMemoryAPixelMayHaveFewerPixels(t *testing.T) {
	transparent := pngChunk("tRNS", make([]byte, 6))
	for name, c := range map[string]struct {
		data   []byte
		refuse bool
	}{
		"RGBA, 16 bits, interlaced":           {hugePNG(7000, 7000, 16, 6, 1), true},
		"grey and alpha, 16 bits, interlaced": {hugePNG(7000, 7000, 16, 4, 1), true},
		"RGB with tRNS, 16 bits, interlaced":  {hugePNG(7000, 7000, 16, 2, 1, transparent), true},
		"the same with fewer pixels":          {hugePNG(5600, 5600, 16, 6, 1), false},
		"RGBA, 16 bits":                       {hugePNG(7000, 7000, 16, 6, 0), false},
		"RGBA, 8 bits, interlaced":            {hugePNG(7000, 7000, 8, 6, 1), false},
		"RGB, 16 bits, interlaced":            {hugePNG(7000, 7000, 16, 2, 1), false},
	} {
		_, err := inspect(c.data, Limits{}.withDefaults())
		var image *ImageError
		if got := errors.As(err, &image); got != c.refuse || got && (image.Rule != RulePixels || !strings.Contains(image.Detail, "interlaced")) {
			t.Errorf("%s: inspect = %v, want refused by %s: %v", name, err, RulePixels, c.refuse)
		}
	}
}
