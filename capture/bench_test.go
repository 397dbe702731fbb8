package capture

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"gocv.io/x/gocv"
)

// photo is a JPEG with as much detail as a camera's.
func photo(t testing.TB, width, height int) []byte {
	t.Helper()
	f := paint(width, height, func(x, y int) float64 {
		return weave(90, 70)(x, y) + float64((x*7919+y*104729)%23)
	})
	data, err := EncodeJPEG(f, 90)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func BenchmarkDecode1080p(b *testing.B) {
	data := photo(b, 1920, 1080)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenCVDecode1080p is what Decode would cost without its checks and
// with OpenCV's own memory.
func BenchmarkOpenCVDecode1080p(b *testing.B) {
	data := photo(b, 1920, 1080)
	for b.Loop() {
		m, err := gocv.IMDecode(data, gocv.IMReadColor)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

func BenchmarkInspect1080p(b *testing.B) {
	data := photo(b, 1920, 1080)
	limits := Limits{}.withDefaults()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := inspect(data, limits); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkFit(b *testing.B, width, height, side int) {
	f := paint(width, height, weave(90, 70))
	var small Frame
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Fit(side, &small); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFit720pTo320(b *testing.B)  { benchmarkFit(b, 1280, 720, 320) }
func BenchmarkFit1080pTo480(b *testing.B) { benchmarkFit(b, 1920, 1080, 480) }
func BenchmarkFit1080pTo500(b *testing.B) { benchmarkFit(b, 1920, 1080, 500) }

func benchmarkQuality(b *testing.B, region Region) {
	f := paint(1280, 720, weave(90, 70))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := MeasureQuality(f, region); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQualityOfFace(b *testing.B)    { benchmarkQuality(b, Region{400, 200, 300, 380}) }
func BenchmarkQualityOfPicture(b *testing.B) { benchmarkQuality(b, Region{}) }

func BenchmarkTruth720p(b *testing.B) {
	f := paint(1280, 720, weave(90, 70))
	truth := NewTruth(TruthLimits{})
	b.ReportAllocs()
	for b.Loop() {
		f.Sequence++
		f.Mono++
		f.Pixels[f.Sequence%3840]++
		if err := truth.Observe(f); err != nil && !errors.Is(err, ErrReplayed) {
			b.Fatal(err)
		}
	}
}

func BenchmarkNextOfVideo(b *testing.B) {
	path := clip(b, 400, 320, 240)
	s := mustOpen(b, path, Options{})
	var f Frame
	b.ReportAllocs()
	for b.Loop() {
		err := s.Next(context.Background(), &f)
		if err == io.EOF {
			b.StopTimer()
			s.Close()
			s = mustOpen(b, path, Options{})
			b.StartTimer()
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

func TestFramesCostNoMemoryEach(t *testing.T) {
	s := mustOpen(t, clip(t, 120, 160, 120), Options{})
	f, small := new(Frame), new(Frame)
	per := testing.AllocsPerRun(100, func() {
		if err := s.Next(context.Background(), f); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Fit(80, small); err != nil {
			t.Fatal(err)
		}
	})
	if per > 8 {
		t.Errorf("Next and Fit took %v allocations a frame, want a handful of headers and no pixels", per)
	}
}

// residentKiB is the process's memory as the kernel counts it, OpenCV's included.
func residentKiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		t.Skip("not run: the kernel gives no VmRSS")
	}
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

func TestThousandsOfImagesLeaveMemoryFlat(t *testing.T) {
	sound := withOrientation(photo(t, 320, 240), 6)
	broken := damage(encodePNG(t, quarters(64, 64)), "IDAT")
	var small Frame
	round := func(n int) {
		for range n {
			f, err := Decode(sound, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := MeasureQuality(f, Region{20, 20, 100, 100}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Fit(60, &small); err != nil {
				t.Fatal(err)
			}
			if _, err := EncodeJPEG(f, 80); err != nil {
				t.Fatal(err)
			}
			if _, err := Decode(sound[:len(sound)-9], Limits{}); err == nil {
				t.Fatal("a cut JPEG was decoded")
			}
		}
		for range n / 20 { // libpng complains on standard error each time
			if _, err := Decode(broken, Limits{}); err == nil {
				t.Fatal("a broken PNG was decoded")
			}
		}
	}
	round(300)
	debug.FreeOSMemory()
	before := residentKiB(t)
	round(1500)
	debug.FreeOSMemory()
	// The smallest thing to lose, a JPEG's buffer, would add up to 20 MiB.
	if grown := residentKiB(t) - before; grown > 8<<10 {
		t.Errorf("memory grew by %d KiB over 1,500 images, want it flat", grown)
	}
}
