package inference

import "testing"

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
