package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// quarters is a picture whose four corners differ: red, green, blue, white,
// clockwise from the top left.
func quarters(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.RGBA{255, 0, 0, 255}
			switch right, low := x >= width/2, y >= height/2; {
			case right && !low:
				c = color.RGBA{0, 255, 0, 255}
			case right && low:
				c = color.RGBA{0, 0, 255, 255}
			case low:
				c = color.RGBA{255, 255, 255, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// corners spells the colours of a frame's corners, clockwise from the top left.
func corners(f *Frame) string {
	name := func(x, y int) string {
		p := f.Pixels[3*(y*f.Width+x):]
		b, g, r := p[0] > 127, p[1] > 127, p[2] > 127
		switch {
		case r && g && b:
			return "W"
		case r && !g && !b:
			return "R"
		case g && !r && !b:
			return "G"
		case b && !r && !g:
			return "B"
		}
		return "?"
	}
	w, h := f.Width, f.Height
	return name(w/8, h/8) + name(w-w/8-1, h/8) + name(w-w/8-1, h-h/8-1) + name(w/8, h-h/8-1)
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// exifBlock is a TIFF header with one entry, the orientation.
func exifBlock(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order.String() == binary.BigEndian.String() {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0x0112)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, orientation)
	b = order.AppendUint16(b, 0)
	return order.AppendUint32(b, 0)
}

// insertSegment puts a marker segment right behind a JPEG's SOI.
func insertSegment(data []byte, marker byte, body []byte) []byte {
	out := append([]byte{}, data[:2]...)
	out = append(out, 0xff, marker)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
	out = append(out, body...)
	return append(out, data[2:]...)
}

func withOrientation(data []byte, orientation uint16) []byte {
	return insertSegment(data, 0xe1, append([]byte("Exif\x00\x00"), exifBlock(binary.BigEndian, orientation)...))
}

func pngChunk(kind string, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	out = append(append(out, kind...), body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

// insertChunk puts a chunk right behind a PNG's IHDR.
func insertChunk(data []byte, kind string, body []byte) []byte {
	const at = 8 + 12 + 13
	return bytes.Join([][]byte{data[:at], pngChunk(kind, body), data[at:]}, nil)
}

func TestOrientationIsAppliedExactlyOnce(t *testing.T) {
	plain := encodeJPEG(t, quarters(96, 64))
	// Each is what the camera stored; the picture shown must read RGBW again, or
	// for the mirrored ones read as the standard's table says.
	want := map[uint16]string{
		1: "RGBW", 2: "GRWB", 3: "BWRG", 4: "WBGR",
		5: "RWBG", 6: "WRGB", 7: "BGRW", 8: "GBWR",
	}
	for orientation, corner := range want {
		got, err := Decode(withOrientation(plain, orientation), Limits{})
		if err != nil {
			t.Errorf("Decode(orientation %d): %v", orientation, err)
			continue
		}
		wide, high := 96, 64
		if orientation >= 5 {
			wide, high = 64, 96
		}
		if got.Width != wide || got.Height != high || corners(got) != corner {
			t.Errorf("Decode(orientation %d) = %d×%d with corners %s, want %d×%d with %s",
				orientation, got.Width, got.Height, corners(got), wide, high, corner)
		}
	}
}

func TestOrientationOfPNGIsApplied(t *testing.T) {
	data := insertChunk(encodePNG(t, quarters(32, 16)), "eXIf", exifBlock(binary.LittleEndian, 6))
	f, err := Decode(data, Limits{})
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if got, want := corners(f), "WRGB"; got != want {
		t.Errorf("corners = %s, want %s", got, want)
	}
}

func TestSoundImagesDecodeToEightBitColour(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 8, 8))
	deep := image.NewNRGBA64(image.Rect(0, 0, 8, 8))
	deepGrey := image.NewGray16(image.Rect(0, 0, 8, 8))
	clear := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for i := range grey.Pix {
		grey.Pix[i] = 200
		deep.SetNRGBA64(i%8, i/8, color.NRGBA64{200 * 257, 200 * 257, 200 * 257, 65535})
		deepGrey.SetGray16(i%8, i/8, color.Gray16{200 * 257})
		// Black at alpha 55/255 lets 200/255 of the white through.
		clear.SetNRGBA(i%8, i/8, color.NRGBA{0, 0, 0, 55})
	}
	paletted := image.NewPaletted(grey.Rect, color.Palette{color.Gray{200}, color.Black})
	var picture bytes.Buffer
	if err := gif.Encode(&picture, paletted, nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"grey JPEG":             encodeJPEG(t, grey),
		"grey PNG":              encodePNG(t, grey),
		"16-bit PNG":            encodePNG(t, opaque64{deep}),
		"16-bit PNG with alpha": encodePNG(t, deep),
		"16-bit grey PNG":       encodePNG(t, deepGrey),
		"transparent PNG":       encodePNG(t, clear),
		"paletted PNG":          encodePNG(t, paletted),
		"paletted GIF":          picture.Bytes(),
		"CMYK JPEG":             cmykJPEG(t, 255, 255, 255, 200),
	} {
		f, err := Decode(data, Limits{Formats: AllFormats()})
		if err != nil {
			t.Errorf("Decode(%s): %v", name, err)
			continue
		}
		if f.Width != 8 || f.Height != 8 {
			t.Errorf("Decode(%s) = %d×%d, want 8×8", name, f.Width, f.Height)
		}
		for i, p := range f.Pixels {
			if p < 198 || p > 202 {
				t.Errorf("Decode(%s).Pixels[%d] = %d, want 200", name, i, p)
				break
			}
		}
	}
}

// opaque64 hides alpha from the encoder's type switch, so that it writes 16-bit
// colour without alpha.
type opaque64 struct{ *image.NRGBA64 }

func (opaque64) Opaque() bool { return true }

// cmykJPEG is an 8×8 JPEG of one colour as Adobe writes it, inverted: 255 means
// no ink. It borrows its tables from a grey one.
func cmykJPEG(t testing.TB, c, m, y, k int) []byte {
	t.Helper()
	var grey bytes.Buffer
	if err := jpeg.Encode(&grey, image.NewGray(image.Rect(0, 0, 8, 8)), &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	out := []byte{0xff, 0xd8, 0xff, 0xee, 0, 14}
	out = append(out, "Adobe\x00\x64\x00\x00\x00\x00\x00"...)
	for p := 2; grey.Bytes()[p+1] != 0xda; {
		length := 2 + int(binary.BigEndian.Uint16(grey.Bytes()[p+2:]))
		if code := grey.Bytes()[p+1]; code == 0xdb || code == 0xc4 {
			out = append(out, grey.Bytes()[p:p+length]...)
		}
		p += length
	}
	out = append(out, 0xff, 0xc0, 0, 20, 8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0)
	out = append(out, 0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0)
	// A flat block is one DC difference in the standard table and the
	// end-of-block code 1010 (ITU-T T.81 tables K.3 and K.5).
	codes := []string{"00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110", "11111110", "111111110"}
	var bits strings.Builder
	for _, v := range []int{c, m, y, k} {
		dc := 8 * (v - 128) // quantiser 1 at quality 100
		size, magnitude := 0, max(dc, -dc)
		for magnitude>>size != 0 {
			size++
		}
		bits.WriteString(codes[size])
		if dc < 0 {
			dc += 1<<size - 1
		}
		for i := size - 1; i >= 0; i-- {
			bits.WriteByte('0' + byte(dc>>i&1))
		}
		bits.WriteString("1010")
	}
	for bits.Len()%8 != 0 {
		bits.WriteByte('1')
	}
	for s := bits.String(); s != ""; s = s[8:] {
		var b byte
		for _, bit := range s[:8] {
			b = b<<1 | byte(bit-'0')
		}
		if out = append(out, b); b == 0xff {
			out = append(out, 0)
		}
	}
	return append(out, 0xff, 0xd9)
}

func TestBadImagesAreRefusedByRule(t *testing.T) {
	sound := encodeJPEG(t, quarters(64, 64))
	soundPNG := encodePNG(t, quarters(64, 64))
	huge := bytes.Clone(sound)
	frame := bytes.Index(huge, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(huge[frame+5:], 40000)
	binary.BigEndian.PutUint16(huge[frame+7:], 40000)
	hugePNG := bytes.Clone(soundPNG)
	binary.BigEndian.PutUint32(hugePNG[16:], 40000)
	binary.BigEndian.PutUint32(hugePNG[20:], 40000)
	narrow := bytes.Clone(sound)
	binary.BigEndian.PutUint16(narrow[frame+5:], 1)
	binary.BigEndian.PutUint16(narrow[frame+7:], 20000)
	flat := bytes.Clone(sound)
	binary.BigEndian.PutUint16(flat[frame+5:], 0)
	deep := bytes.Clone(sound)
	deep[frame+4] = 12
	lossless := bytes.Clone(sound)
	lossless[frame+1] = 0xc3
	var animation bytes.Buffer
	still := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.White, color.Black})
	err := gif.EncodeAll(&animation, &gif.GIF{Image: []*image.Paletted{still, still}, Delay: []int{1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	scans := bytes.Clone(sound)
	scan := bytes.Index(sound, []byte{0xff, 0xda})
	for range maxScans {
		scans = append(scans[:len(scans)-2], sound[scan:]...)
	}
	webp := []byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x07\x00\x00")
	all := Limits{Formats: AllFormats()}
	for _, c := range []struct {
		name   string
		data   []byte
		limits Limits
		rule   Rule
		says   string
	}{
		{"0 bytes", nil, Limits{}, RuleEmpty, "empty"},
		{"10 MB and one byte", append(bytes.Clone(sound), make([]byte, DefaultMaxBytes+1-len(sound))...), Limits{}, RuleBytes, "larger than 10 MB"},
		{"40,000×40,000 JPEG", huge, Limits{}, RulePixels, "40000×40000 pixels exceeds 50 megapixels"},
		{"40,000×40,000 PNG", hugePNG, Limits{}, RulePixels, "40000×40000 pixels exceeds 50 megapixels"},
		{"20,000×1 JPEG", narrow, Limits{}, RulePixels, "exceeds 16384 on a side"},
		{"JPEG of no height", flat, Limits{}, RuleCorrupt, "64×0"},
		{"12-bit JPEG", deep, Limits{}, RuleColour, "12 bits"},
		{"lossless JPEG", lossless, Limits{}, RuleColour, "lossless"},
		{"PDF named .jpg", []byte("%PDF-1.7\n…"), Limits{}, RuleFormat, "a PDF, not JPEG or PNG"},
		{"text", []byte("hello, world"), Limits{}, RuleFormat, "not JPEG or PNG"},
		{"GIF where JPEG or PNG is asked", animation.Bytes(), Limits{}, RuleFormat, "a GIF, not JPEG or PNG"},
		{"animated GIF", animation.Bytes(), all, RuleAnimated, "animated"},
		{"animated PNG", insertChunk(soundPNG, "acTL", make([]byte, 8)), Limits{}, RuleAnimated, "animated"},
		{"animated WebP", webp, all, RuleAnimated, "animated"},
		{"JPEG cut in the middle", sound[:len(sound)/2], Limits{}, RuleTruncated, "ends before its picture"},
		{"JPEG without its last two bytes", sound[:len(sound)-2], Limits{}, RuleTruncated, "ends before its picture"},
		{"PNG cut in the middle", soundPNG[:len(soundPNG)/2], Limits{}, RuleTruncated, "ends before its picture"},
		{"GIF cut in the middle", animation.Bytes()[:20], all, RuleTruncated, "ends before its picture"},
		{"JPEG without a picture", []byte{0xff, 0xd8, 0xff, 0xd9}, Limits{}, RuleCorrupt, "no picture"},
		{"JPEG of too many scans", scans, Limits{}, RuleCorrupt, "scans"},
		{"JPEG without its quantisers", bytes.ReplaceAll(sound, []byte{0xff, 0xdb}, []byte{0xff, 0xfe}), Limits{}, RuleCorrupt, "damaged"},
		{"PNG with a damaged picture", damage(soundPNG, "IDAT"), Limits{}, RuleCorrupt, "damaged"},
	} {
		_, err := Decode(c.data, c.limits)
		var refused *ImageError
		if !errors.As(err, &refused) || !errors.Is(err, ErrImage) {
			t.Errorf("Decode(%s) = %v, want an *ImageError", c.name, err)
			continue
		}
		if refused.Rule != c.rule || !strings.Contains(refused.Error(), c.says) {
			t.Errorf("Decode(%s) = %s %q, want %s with %q", c.name, refused.Rule, refused, c.rule, c.says)
		}
	}
}

// damage flips the bytes of the first chunk of the given kind.
func damage(data []byte, kind string) []byte {
	out := bytes.Clone(data)
	p := bytes.Index(out, []byte(kind)) + 4
	for i := range 24 {
		out[p+i] ^= 0x5a
	}
	return out
}

func TestBytesBehindThePictureAreAllowed(t *testing.T) {
	// Telephones append a second picture or a short film behind the end marker.
	data := append(encodeJPEG(t, quarters(16, 16)), "MotionPhoto_Data…"...)
	if _, err := Decode(data, Limits{}); err != nil {
		t.Errorf("Decode(JPEG with a trailer): %v", err)
	}
}

func TestReadImageReadsNoMoreThanItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.jpg")
	if err := os.WriteFile(path, encodeJPEG(t, quarters(64, 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil { // sparse
		t.Fatal(err)
	}
	_, err := ReadImage(path, Limits{})
	var refused *ImageError
	if !errors.As(err, &refused) || refused.Rule != RuleBytes {
		t.Errorf("ReadImage(1 TiB) = %v, want %s", err, RuleBytes)
	}
	if _, err := ReadImage(t.TempDir(), Limits{}); !errors.Is(err, ErrImage) {
		t.Errorf("ReadImage(folder) = %v, want ErrImage", err)
	}
	if _, err := ReadImage(path+".gone", Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadImage(missing) = %v, want ErrNotExist", err)
	}
}
