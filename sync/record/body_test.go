package record_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/sync/record"
)

func encoded(tb testing.TB, b record.Body) []byte {
	tb.Helper()
	raw, err := b.Encode()
	if err != nil {
		tb.Fatalf("Encode: %v", err)
	}
	return raw
}

func TestBodyDecodesToWhatWasEncoded(t *testing.T) {
	want := goldenBody()
	got, err := record.DecodeBody(encoded(t, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("DecodeBody = %+v, %v, want %+v", got, err, want)
	}
}

// TestBodyHasNoPlaceForAScore walks the type: a fraction could be a comparison
// score, and bytes could be a template or an image.
func TestBodyHasNoPlaceForAScore(t *testing.T) {
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				walk(path+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		case reflect.Pointer:
			walk(path, typ.Elem())
		case reflect.Slice:
			if k := typ.Elem().Kind(); k != reflect.String && k != reflect.Struct {
				t.Errorf("%s is a list of %v", path, k)
			}
			walk(path+"[]", typ.Elem())
		case reflect.Float32, reflect.Float64, reflect.Interface, reflect.Map, reflect.Array:
			t.Errorf("%s is of type %v", path, typ)
		}
	}
	walk("Body", reflect.TypeFor[record.Body]())
}

func TestBodyThatBreaksARuleIsRefusedByField(t *testing.T) {
	high := uint8(8)
	for field, breakIt := range map[string]func(*record.Body){
		"t_wall":              func(b *record.Body) { b.WallMs = -1 },
		"t_mono_ns":           func(b *record.Body) { b.MonoNs = -1 },
		"boot_id":             func(b *record.Body) { b.BootID = "today" },
		"clock_q":             func(b *record.Body) { b.ClockQ = "" },
		"verification":        func(b *record.Body) { b.Verification = "Anna Schmidt" },
		"subject_ref":         func(b *record.Body) { b.SubjectRef = strings.Repeat("x", 129) },
		"status":              func(b *record.Body) { b.Status = "done" },
		"verdict":             func(b *record.Body) { b.Verdict = "maybe" },
		"decision":            func(b *record.Body) { b.Decision = "" },
		"confidence":          func(b *record.Body) { b.Confidence = 101 },
		"reasons":             func(b *record.Body) { b.Reasons = []string{"score 0.4531"} },
		"strength":            func(b *record.Body) { b.Strength = "strong" },
		"checks.name":         func(b *record.Body) { b.Checks[0].Name = "" },
		"checks.result":       func(b *record.Body) { b.Checks[0].Result = "passed" },
		"checks.band":         func(b *record.Body) { b.Checks[0].Band = &high },
		"checks.attestation":  func(b *record.Body) { b.Checks[1].Attestation = "yes" },
		"checks":              func(b *record.Body) { b.Checks = make([]record.CheckResult, 65) },
		"document.type":       func(b *record.Body) { b.Document.Type = "" },
		"models":              func(b *record.Body) { b.Models[0] = "abc" },
		"policy":              func(b *record.Body) { b.Policy = record.SHA256(strings.Repeat("AB", 32)) },
		"operating_points":    func(b *record.Body) { b.OperatingPoints = []string{""} },
		"blobs.size":          func(b *record.Body) { b.Blobs[0].Size = 0 },
		"agent":               func(b *record.Body) { b.Agent = "" },
		"assurance":           func(b *record.Body) { b.Assurance = "" },
		"retention.not_after": func(b *record.Body) { b.Retention.NotAfterMs = -1 },
	} {
		b := goldenBody()
		breakIt(&b)
		_, err := b.Encode()
		if !errors.Is(err, record.ErrInvalid) || !strings.Contains(err.Error(), "body."+field+":") {
			t.Errorf("Encode with a wrong %s = %v, want ErrInvalid naming it", field, err)
		}
	}
	if err := (record.Body{}).Validate(); err == nil {
		t.Error("the zero Body is valid")
	}
}

func TestErrorsRepeatNoContent(t *testing.T) {
	b := goldenBody()
	b.Verification, b.Reasons = "Anna Schmidt", []string{"Anna Schmidt"}
	if _, err := b.Encode(); err == nil || strings.Contains(err.Error(), "Anna") {
		t.Errorf("Encode = %v, want an error without the content", err)
	}
}

func TestDecodeBodyRefusesOtherSpellings(t *testing.T) {
	good := string(encoded(t, goldenBody()))
	for name, raw := range map[string]string{
		"empty":         "",
		"array":         "[]",
		"unknown field": strings.Replace(good, "{", `{"score":0.45,`, 1),
		"doubled field": strings.Replace(good, `"final":true`, `"final":false,"final":true`, 1),
		"capital field": strings.Replace(good, `"decision"`, `"Decision"`, 1),
		"fraction":      strings.Replace(good, `"band":6`, `"band":6.5`, 1),
		"trailing data": good + "{}",
		"white space":   good + "\n",
		"huge":          `{"agent":"` + strings.Repeat("x", record.MaxBody) + `"}`,
	} {
		if _, err := record.DecodeBody([]byte(raw)); !errors.Is(err, record.ErrInvalid) {
			t.Errorf("%s: DecodeBody = %v, want ErrInvalid", name, err)
		}
	}
}

func FuzzDecodeBody(f *testing.F) {
	f.Add(encoded(f, goldenBody()))
	f.Add([]byte(`{"final":false}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := record.DecodeBody(raw)
		if err != nil {
			return
		}
		if again := encoded(t, b); !bytes.Equal(again, raw) {
			t.Errorf("DecodeBody accepted %q, Encode gives %q", raw, again)
		}
	})
}
