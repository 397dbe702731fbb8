//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestImageThatBreaksARuleIsRefusedByNameAndLeavesNothing(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, "")
	daemon := d.start()
	good, front := d.file("good.jpg", a.genuine), d.file("front.jpg", a.front)
	d.run("verify", "--selfie", good, "--document-front", front).want(t, 0)
	before, usual := d.stats(), peak(t, daemon)
	for _, bad := range []struct {
		name, says string
		content    []byte
	}{
		{"empty.jpg", "empty", nil},
		{"truncated.jpg", "image refused", a.genuine[:len(a.genuine)/2]},
		{"noise.jpg", "image refused", noisy(t, a.genuine)},
		{"header-only.jpg", "image refused", a.genuine[:600]},
		{"statement.jpg", "a PDF, not JPEG or PNG", []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n%%EOF\n")},
		{"large.jpg", "10 MB", append(slices.Clone(a.genuine), make([]byte, 10_000_001-len(a.genuine))...)},
		{"larger.jpg", "10 MB", append(slices.Clone(a.genuine), make([]byte, 30_000_000)...)},
		{"bomb.png", "40000×40000", bomb(40_000, 40_000)},
		{"animated.gif", "GIF", animatedGIF(t)},
		{"animated.png", "animated", animatedPNG(t, a.genuine)},
	} {
		file := d.file(bad.name, bad.content)
		for _, args := range [][]string{{"--selfie", file}, {"--selfie", good, "--document-front", file}, {"--selfie", good, "--document-front", front, "--document-back", file}} {
			r := d.run(append([]string{"verify", "--json"}, args...)...)
			r.want(t, 2, bad.says)
			if r.stdout != "" {
				t.Errorf("%v\nwant nothing on stdout", r)
			}
		}
		r := d.run("enroll", "--account", "4711", "--selfie", file)
		r.want(t, 2, bad.says)
		t.Logf("%-15s %s", bad.name, strings.TrimSpace(r.stderr))
	}
	if after := d.stats(); after.Queued != before.Queued || after.NextSeq != before.NextSeq || after.Pending != 0 {
		t.Errorf("outbox stats: %+v after %+v, want nothing recorded", after, before)
	}
	worst := peak(t, daemon)
	t.Logf("most memory of the daemon: %d MiB with good pictures, %d MiB with bad ones", usual, worst)
	if limit := 10 * usual; worst > limit {
		t.Errorf("the daemon took up to %d MiB, want less than %d", worst, limit)
	}
}

// The largest pictures allowed, all three at once and two people at a time.
func TestLargestPicturesKeepMemoryBounded(t *testing.T) {
	t.Parallel()
	const side, perPixel, atOnce = 7071, 12, 2 // pixels, bytes that decoding may take, verifications
	large, err := encode(image.NewGray(image.Rect(0, 0, side, side)))
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, "")
	daemon := d.start()
	ends := make(chan answered, atOnce)
	for range atOnce {
		go func() {
			v, err := d.verify(request{Selfie: large, DocumentFront: large, DocumentBack: large})
			ends <- answered{v, err}
		}()
	}
	for range atOnce {
		if e := <-ends; e.err != nil || e.verification.Status != "double_check" {
			t.Errorf("POST /verify with black pictures of %d×%[1]d: %q, %v, want double_check", side, e.verification.Status, e.err)
		}
	}
	most := peak(t, daemon)
	t.Logf("most memory of the daemon: %d MiB for two times three pictures of %d×%[2]d", most, side)
	if limit := 3 * atOnce * perPixel * side * side >> 20; most > limit {
		t.Errorf("the daemon took up to %d MiB, want less than %d", most, limit)
	}
}

func TestImagesOfEveryMakeGiveTheSameDecision(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, "")
	d.start()
	upright := decode(t, a.genuine)
	front := d.file("front.jpg", a.front)
	for name, content := range map[string][]byte{
		"upright.jpg":      a.genuine,
		"turned-right.jpg": turned(t, upright),
		"sixteen-bits.png": deep(t, upright),
		"transparent.png":  encodePNG(t, onTransparent(upright)),
	} {
		r := d.run("verify", "--json", "--selfie", d.file(name, content), "--document-front", front)
		v := parse[verification](t, r.stdout)
		t.Logf("%-16s %s %v", name, v.Status, v.Reasons)
		if r.want(t, 0); v.Status != "approved" {
			t.Errorf("verify --selfie %s: %s %v, want approved as the upright JPEG is", name, v.Status, v.Reasons)
		}
	}
}

func TestCMYKIsHandledOrNamed(t *testing.T) {
	t.Parallel()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	cmyk, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goroot)), "src/image/testdata/video-001.cmyk.jpeg"))
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	d := newDevice(t, inAHurry)
	r := d.run("verify", "--selfie", d.file("cmyk.jpg", cmyk))
	if r.code == 2 {
		r.want(t, 2, "CMYK")
	} else {
		r.want(t, 3, "quality      false") // too small
	}
	t.Log(r)
}

// noisy keeps a JPEG's headers and spoils what follows.
func noisy(t *testing.T, data []byte) []byte {
	random := seeded(t)
	out := slices.Clone(data)
	for i := 700; i < len(out)-2; i++ {
		out[i] = byte(random.Uint32())
	}
	return out
}

// chunk is a chunk of a PNG file.
func chunk(kind string, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

const pngMark = "\x89PNG\r\n\x1a\n"

// bomb is a PNG whose header promises more than any memory holds.
func bomb(width, height uint32) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	out := append([]byte(pngMark), chunk("IHDR", append(size, 8, 2, 0, 0, 0))...)
	out = append(out, chunk("IDAT", []byte{0x78, 0x9c, 0x03, 0, 0, 0, 0, 1})...)
	return append(out, chunk("IEND", nil)...)
}

func animatedGIF(t *testing.T) []byte {
	t.Helper()
	var all gif.GIF
	for range 3 {
		all.Image = append(all.Image, image.NewPaletted(image.Rect(0, 0, 320, 240), color.Palette{color.Black, color.White}))
		all.Delay = append(all.Delay, 10)
	}
	var out bytes.Buffer
	if err := gif.EncodeAll(&out, &all); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// animatedPNG says in an acTL chunk that two pictures follow.
func animatedPNG(t *testing.T, photo []byte) []byte {
	t.Helper()
	still := encodePNG(t, decode(t, photo))
	const header = len(pngMark) + 4 + 4 + 13 + 4
	return slices.Concat(still[:header], chunk("acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0}), still[header:])
}

func encodePNG(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// deep is the picture with sixteen bits a channel.
func deep(t *testing.T, picture image.Image) []byte {
	t.Helper()
	out := image.NewRGBA64(picture.Bounds())
	draw.Draw(out, out.Rect, picture, picture.Bounds().Min, draw.Src)
	return encodePNG(t, out)
}

// onTransparent leaves a transparent border around the picture.
func onTransparent(picture image.Image) image.Image {
	b := picture.Bounds()
	out := image.NewNRGBA(b.Inset(-40))
	draw.Draw(out, b, picture, b.Min, draw.Src)
	return out
}

// turned is the picture lying on its side, with the EXIF orientation (CIPA
// DC-008, tag 0x0112) that sets it upright.
func turned(t *testing.T, picture image.Image) []byte {
	t.Helper()
	b := picture.Bounds()
	lying := image.NewRGBA(image.Rect(0, 0, b.Dy(), b.Dx()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			lying.Set(y, b.Dx()-1-x, picture.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	data, err := encode(lying)
	if err != nil {
		t.Fatal(err)
	}
	const turnRight = 6
	exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(turnRight)) + "\x00\x00\x00\x00\x00\x00")
	segment := append([]byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return slices.Concat(data[:2], segment, data[2:])
}
