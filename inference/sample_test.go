package inference

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

func noisy(width, height int) Image {
	m := Image{Pixels: make([]byte, 3*width*height), Width: width, Height: height}
	x := uint32(1)
	for i := range m.Pixels {
		x = 1664525*x + 1013904223
		m.Pixels[i] = byte(x >> 24)
	}
	return m
}

func BenchmarkLetterbox256(b *testing.B) {
	m, t := noisy(256, 256), make([]float32, 3*256*256)
	for b.Loop() {
		letterbox(m, 256, 256, 0, 0, 256, bgr(t))
	}
}

func BenchmarkFlip256(b *testing.B) {
	t := make([]float32, 3*256*256)
	for b.Loop() {
		flip(t, 256)
	}
}

func BenchmarkStretch224(b *testing.B) {
	m, t := noisy(1920, 1080), make([]float32, 3*224*224)
	for b.Loop() {
		stretch(m, Box{300, 200, 500, 700}, 224, 224, bgr(t))
	}
}

func BenchmarkAlign112(b *testing.B) {
	m, t := noisy(640, 480), make([]float32, 3*112*112)
	to := affine{a: 1.5, b: 0.1, c: 100, d: -0.1, e: 1.5, f: 80}
	for b.Loop() {
		warp(m, to, 112, 112, bgr(t))
	}
}

// What a model says is a stranger's word: any numbers must give faces that can
// be cut out of a picture, or none.
func FuzzDetectorGrid(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0, 0, 128, 63}, 16))
	f.Add(bytes.Repeat([]byte{255, 255, 127, 127}, 16))
	f.Add(append(bytes.Repeat([]byte{0, 0, 128, 63}, 4), bytes.Repeat([]byte{0, 0, 192, 127}, 12)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		const size, stride = 64, 32
		values := make([]float32, 4*16) // 4 cells
		for i := range values {
			if at := 4 * i; at+4 <= len(data) {
				values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[at:]))
			}
		}
		g := grid{values[0:4], values[4:8], values[8:24], values[24:64]}
		for _, face := range suppress(g.faces(size, stride, 0.3)) {
			if !(face.Score > 0.3 && face.Score <= 1) || !(face.Box.Area() > 0) {
				t.Fatalf("faces: got %+v", face)
			}
			if to, err := align(face.Points); err == nil {
				out := make([]float32, 3*8*8)
				warp(noisy(16, 16), to, 8, 8, bgr(out))
			}
			stretch(noisy(16, 16), surroundings(face.Box, noisy(16, 16)), 8, 8, bgr(make([]float32, 3*8*8)))
			if _, _, err := aligned(noisy(16, 16), face.Points); err == nil && math.IsNaN(face.Box.X) {
				t.Fatal("a face at NaN was aligned")
			}
		}
	})
}
