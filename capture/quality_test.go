package capture

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// paint makes a frame from brightness as a function of place, 0 to 255.
func paint(width, height int, brightness func(x, y int) float64) *Frame {
	f := new(Frame)
	f.resize(width, height)
	for y := range height {
		for x := range width {
			v := byte(math.Max(0, math.Min(255, brightness(x, y))))
			i := 3 * (y*width + x)
			f.Pixels[i], f.Pixels[i+1], f.Pixels[i+2] = v, v, v
		}
	}
	f.Sequence = 1
	return f
}

// weave is a pattern with detail of the given period in pixels around mid-grey.
func weave(period, amplitude float64) func(x, y int) float64 {
	return func(x, y int) float64 {
		return 128 + amplitude*math.Sin(2*math.Pi*float64(x)/period)*math.Sin(2*math.Pi*float64(y)/period)
	}
}

func codes(advice []Advice) []AdviceCode {
	var out []AdviceCode
	for _, a := range advice {
		out = append(out, a.Code)
	}
	return out
}

func TestAdviceNamesWhatIsWrong(t *testing.T) {
	good := weave(12, 90)
	box := Region{220, 140, 200, 200}
	for _, c := range []struct {
		name       string
		brightness func(x, y int) float64
		region     Region
		want       []AdviceCode
	}{
		{"a good face", good, box, nil},
		{"far away", good, Region{300, 220, 40, 40}, []AdviceCode{AdviceFaceTooSmall}},
		{"far too near", good, Region{5, 5, 620, 460}, []AdviceCode{AdviceFaceTooLarge}},
		{"half out of the picture", good, Region{-100, 140, 200, 200}, []AdviceCode{AdviceFaceCutOff, AdviceFaceOffCentre}},
		{"in a corner", good, Region{10, 10, 100, 100}, []AdviceCode{AdviceFaceOffCentre}},
		{"at night", func(x, y int) float64 { return good(x, y) / 10 }, box, []AdviceCode{AdviceTooDark, AdviceLowContrast}},
		{"in the sun", func(x, y int) float64 { return 160 + good(x, y) }, box, []AdviceCode{AdviceTooBright, AdviceGlare}},
		{"lit from one side", func(x, y int) float64 {
			if x < 320 {
				return good(x, y)/4 + 10
			}
			return good(x, y)/3 + 165
		}, box, []AdviceCode{AdviceUnevenLight}},
		{"out of focus", weave(130, 90), box, []AdviceCode{AdviceBlurred}},
		{"a wall", func(int, int) float64 { return 128 }, box, []AdviceCode{AdviceLowContrast, AdviceBlurred}},
	} {
		q, err := MeasureQuality(paint(640, 480, c.brightness), c.region)
		if err != nil {
			t.Errorf("MeasureQuality(%s): %v", c.name, err)
			continue
		}
		if got := codes(q.Advice(DefaultFaceLimits())); !slices.Equal(got, c.want) {
			t.Errorf("Advice(%s) = %v, want %v; measured %+v", c.name, got, c.want, q)
		}
	}
}

func TestQualityOfAKnownPattern(t *testing.T) {
	// Left half 51, right half 204: mean 0.5, contrast 0.3, lopsided by 0.6.
	f := paint(400, 200, func(x, _ int) float64 {
		if x < 200 {
			return 51
		}
		return 204
	})
	q, err := MeasureQuality(f, Region{})
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, got, want float64) {
		if math.Abs(got-want) > 0.005 {
			t.Errorf("%s = %.4f, want %.4f", name, got, want)
		}
	}
	near("Mean", q.Mean, 0.5)
	near("Contrast", q.Contrast, 0.3)
	near("Lopsided", q.Lopsided, 0.6)
	near("Dark", q.Dark, 0)
	near("Glare", q.Glare, 0)
	if q.Face {
		t.Error("Face = true for the whole picture")
	}
	q, err = MeasureQuality(f, Region{X: -50, Y: 50, W: 200, H: 100})
	if err != nil {
		t.Fatal(err)
	}
	near("CutOff", q.CutOff, 0.25)
	near("FaceSide", q.FaceSide, 100)
	near("FaceFraction", q.FaceFraction, 150.*100/(400*200))
	near("OffCentre", q.OffCentre, 0.5-50./400)
}

func TestSharpnessDoesNotDependOnDistance(t *testing.T) {
	near, err := MeasureQuality(paint(1280, 960, weave(48, 90)), Region{200, 200, 512, 512})
	if err != nil {
		t.Fatal(err)
	}
	far, err := MeasureQuality(paint(1280, 960, weave(24, 90)), Region{200, 200, 256, 256})
	if err != nil {
		t.Fatal(err)
	}
	if ratio := near.Sharpness / far.Sharpness; ratio < 0.9 || ratio > 1.1 {
		t.Errorf("sharpness near %.3f and far %.3f, want the same", near.Sharpness, far.Sharpness)
	}
}

func TestRegionOutsideThePictureIsAnError(t *testing.T) {
	f := paint(64, 48, weave(8, 50))
	for _, r := range []Region{
		{X: 64, Y: 0, W: 10, H: 10}, {X: -20, Y: 0, W: 20, H: 20}, {W: 10}, {W: -5, H: -5},
		{X: math.NaN(), W: 10, H: 10}, {W: math.NaN(), H: 10}, {X: math.Inf(1), W: 10, H: 10},
	} {
		if q, err := MeasureQuality(f, r); !errors.Is(err, ErrFrame) {
			t.Errorf("MeasureQuality(%+v) = %+v, %v, want ErrFrame", r, q, err)
		}
	}
	if _, err := MeasureQuality(&Frame{Width: 4, Height: 4}, Region{}); !errors.Is(err, ErrFrame) {
		t.Errorf("MeasureQuality(frame without pixels) = %v, want ErrFrame", err)
	}
}

func TestUnmeasuredAndNaNQualityNeverPass(t *testing.T) {
	if got := (Quality{}).Advice(DefaultFaceLimits()); len(got) == 0 {
		t.Error("the zero Quality got no advice")
	}
	nan := math.NaN()
	q := Quality{Sharpness: nan, Mean: nan, Contrast: nan, Dark: nan, Bright: nan, Glare: nan, Lopsided: nan,
		Face: true, FaceSide: nan, FaceFraction: nan, OffCentre: nan, CutOff: nan}
	if got := q.Advice(DefaultFaceLimits()); len(got) != 10 {
		t.Errorf("Advice(NaN) = %v, want all ten", codes(got))
	}
	good, err := MeasureQuality(paint(640, 480, weave(12, 90)), Region{220, 140, 200, 200})
	if err != nil {
		t.Fatal(err)
	}
	if got := good.Advice(QualityLimits{}); len(got) == 0 {
		t.Error("zero QualityLimits accepted a face")
	}
}

func FuzzMeasureQuality(f *testing.F) {
	f.Add(64, 48, 1.0, 2.0, 30.0, 30.0)
	f.Add(1, 1, 0.0, 0.0, 1.0, 1.0)
	f.Add(300, 2, -1e9, -1e9, 2e9, 2e9)
	f.Fuzz(func(t *testing.T, width, height int, x, y, w, h float64) {
		if width < 1 || height < 1 || width > 400 || height > 400 {
			t.Skip()
		}
		q, err := MeasureQuality(paint(width, height, weave(7, 80)), Region{x, y, w, h})
		if err != nil {
			return
		}
		for name, v := range map[string]float64{"Sharpness": q.Sharpness, "Mean": q.Mean, "Contrast": q.Contrast,
			"Dark": q.Dark, "Bright": q.Bright, "Glare": q.Glare, "Lopsided": q.Lopsided, "CutOff": q.CutOff} {
			if math.IsNaN(v) || v < 0 || name != "Sharpness" && v > 1 {
				t.Errorf("%s = %v of %d×%d at %v", name, v, width, height, Region{x, y, w, h})
			}
		}
	})
}
