package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"testing"
)

// seeds are small sound images of every format, and some of their parts.
func seeds(f *testing.F) [][]byte {
	sound := encodeJPEG(f, quarters(16, 16))
	soundPNG := encodePNG(f, quarters(8, 8))
	var picture bytes.Buffer
	still := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.White, color.Black})
	if err := gif.Encode(&picture, still, nil); err != nil {
		f.Fatal(err)
	}
	bitmap := append([]byte("BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x18\x00"), make([]byte, 40)...)
	return [][]byte{
		sound, soundPNG, picture.Bytes(), bitmap, cmykJPEG(f, 10, 20, 30, 40),
		withOrientation(sound, 6), insertChunk(soundPNG, "acTL", make([]byte, 8)),
		insertChunk(soundPNG, "eXIf", exifBlock(binary.LittleEndian, 8)),
		sound[:40], soundPNG[:30], []byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x07\x00\x00"),
		[]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"),
		[]byte("%PDF-1.7"), {0xff, 0xd8, 0xff}, {},
	}
}

// FuzzInspect feeds the walk over headers, which must hold for every input what
// the decoder after it relies on.
func FuzzInspect(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	limits := Limits{MaxPixels: 1 << 20, MaxSide: 4096, Formats: AllFormats()}.withDefaults()
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := inspect(data, limits)
		if err != nil {
			if !errors.Is(err, ErrImage) {
				t.Errorf("inspect = %v, want an *ImageError", err)
			}
			return
		}
		if h.width < 1 || h.height < 1 || h.width > 4096 || h.height > 4096 || h.width*h.height > 1<<20 {
			t.Errorf("inspect let %d×%d through", h.width, h.height)
		}
		if h.orientation < 1 || h.orientation > 8 {
			t.Errorf("inspect = orientation %d", h.orientation)
		}
	})
}

// FuzzDecode goes on into the decoders: whatever comes, there is a whole frame
// within the limits or an *ImageError.
func FuzzDecode(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	limits := Limits{MaxBytes: 1 << 16, MaxPixels: 1 << 16, MaxSide: 1024, Formats: AllFormats()}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(data, limits)
		if err != nil {
			if !errors.Is(err, ErrImage) {
				t.Errorf("Decode = %v, want an *ImageError", err)
			}
			return
		}
		if got.valid() != nil || got.Width*got.Height > 1<<16 || max(got.Width, got.Height) > 1024 {
			t.Errorf("Decode = %d×%d with %d bytes", got.Width, got.Height, len(got.Pixels))
		}
	})
}
