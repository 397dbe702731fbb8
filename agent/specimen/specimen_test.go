package specimen

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"testing"
)

func TestTheZoneIsThatOfTheStandardsSpecimen(t *testing.T) {
	got, err := machineReadable(Holder{
		Surname: "Eriksson", GivenNames: "Anna Maria", Number: "D23145890", Birth: "740812", Expiry: "120415", Sex: "F",
	})
	want := [3]string{ // ICAO 9303-5, appendix B
		"I<UTOD231458907<<<<<<<<<<<<<<<",
		"7408122F1204159UTO<<<<<<<<<<<6",
		"ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
	}
	if err != nil || got != want {
		t.Errorf("machineReadable: got %q, %v, want %q", got, err, want)
	}
}

func TestALongNameIsCutToTheLine(t *testing.T) {
	got, err := machineReadable(Holder{
		Surname: "Papandropoulous", GivenNames: "Jonathon Alec Maximilian", Number: "X1", Birth: "740812", Expiry: "120415", Sex: "X",
	})
	if err != nil || len(got[2]) != 30 || got[1][7] != '<' {
		t.Errorf("machineReadable: got %q, %v, want a third line of 30 and a filler for sex X", got, err)
	}
}

func TestAHolderThatNoCardCanCarryIsRefused(t *testing.T) {
	good := Holder{Surname: "S", GivenNames: "G", Number: "D1", Birth: "740812", Expiry: "340811", Sex: "F"}
	for name, spoil := range map[string]func(*Holder){
		"long number": func(h *Holder) { h.Number = "1234567890" },
		"lower case":  func(h *Holder) { h.Number = "d1" },
		"short date":  func(h *Holder) { h.Birth = "7408" },
		"words":       func(h *Holder) { h.Expiry = "august" },
		"no sex":      func(h *Holder) { h.Sex = "" },
	} {
		h := good
		spoil(&h)
		if _, err := Back(h); err == nil {
			t.Errorf("Back with %s: got a card, want an error", name)
		}
	}
}

func TestScenesAreTheSameEveryTime(t *testing.T) {
	photo := image.NewRGBA(image.Rect(0, 0, 320, 240))
	draw.Draw(photo, photo.Bounds(), image.NewUniform(color.RGBA{180, 130, 110, 255}), image.Point{}, draw.Src)
	h := Holder{Surname: "Specimen", GivenNames: "Alex", Number: "D23145890", Birth: "740812", Expiry: "340811", Sex: "M"}
	front, err := Front(photo, h)
	if err != nil {
		t.Fatal(err)
	}
	for name, compose := range map[string]func() *image.RGBA{
		"OnTable":   func() *image.RGBA { return OnTable(front) },
		"HeldPrint": func() *image.RGBA { return HeldPrint(photo) },
	} {
		a, b := compose(), compose()
		if a.Bounds().Size() != image.Pt(SceneWidth, SceneHeight) {
			t.Errorf("%s: got %v, want %d×%d", name, a.Bounds(), SceneWidth, SceneHeight)
		}
		if !bytes.Equal(a.Pix, b.Pix) {
			t.Errorf("%s twice: got different pixels, want the same", name)
		}
	}
}
