//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestVerifyExitsAsItsHelpSays(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, "")
	d.start()
	gone := httptest.NewServer(nil)
	gone.Close()
	genuine, impostor, print := d.file("genuine.jpg", a.genuine), d.file("impostor.jpg", a.impostor), d.file("print.jpg", a.print)
	front, back, nobody := d.file("front.jpg", a.front), d.file("back.jpg", a.back), d.file("nobody.jpg", a.nobody)
	for _, outcome := range []struct {
		name, status, verdict, reason string
		code                          int
		args                          []string
	}{
		{"the holder", "approved", "true", "face_matches", 0, []string{"--selfie", genuine, "--document-front", front, "--document-back", back}},
		{"the holder, without the back", "approved", "true", "face_matches", 0, []string{"--selfie", genuine, "--document-front", front}},
		{"an impostor", "rejected", "false", "face_differs", 1, []string{"--selfie", impostor, "--document-front", front, "--document-back", back}},
		{"a print", "rejected", "false", "attack_print", 1, []string{"--selfie", print, "--document-front", front, "--document-back", back}},
		{"a check that this device cannot run", "double_check", "unknown", "not_available_on_this_device", 3,
			[]string{"--selfie", genuine, "--document-front", front, "--checks", "document"}},
		{"no document", "double_check", "unknown", "evidence_missing", 3, []string{"--selfie", genuine}},
		{"nobody in the picture", "double_check", "unknown", "no_face_in_probe", 3, []string{"--selfie", nobody, "--document-front", front}},
		{"nobody on the document", "double_check", "unknown", "no_face_in_reference", 3, []string{"--selfie", genuine, "--document-front", nobody}},
		{"the camera is gone", "error", "unknown", "camera_lost", 2, []string{"--camera", gone.URL, "--document-front", front}},
	} {
		r := d.run(append([]string{"verify", "--json"}, outcome.args...)...)
		r.want(t, outcome.code)
		v := parse[verification](t, r.stdout)
		if v.Status != outcome.status || v.Verdict != outcome.verdict || !slices.Contains(v.Reasons, outcome.reason) {
			t.Errorf("%s: %s, verdict %s, reasons %v, want %s, %s, %s", outcome.name, v.Status, v.Verdict, v.Reasons, outcome.status, outcome.verdict, outcome.reason)
		}
		conforms(t, outcome.name, r.stdout)
		t.Logf("%-36s exit %d %-12s %v, %v", outcome.name, r.code, v.Status, v.Reasons, r.took)
	}
	if s := d.stats(); s.Queued != 9 {
		t.Errorf("outbox stats: %+v, want a record of each of 9 outcomes", s)
	}
	secrets(t, d)
}

func TestUsageErrorsExitWith2AndRecordNothing(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, "")
	d.start()
	selfie, front := d.file("selfie.jpg", a.genuine), d.file("front.jpg", a.front)
	for _, wrong := range []struct {
		says string
		args []string
	}{
		{"selfie", []string{"verify"}},
		{"selfie", []string{"verify", "--document-front", front}},
		{"selfie", []string{"verify", "--selfie", selfie, "--camera", "camera:0"}},
		{`check "beauty"`, []string{"verify", "--selfie", selfie, "--checks", "liveness,beauty"}},
		{"--beauty", []string{"verify", "--selfie", selfie, "--beauty"}},
		{"front", []string{"verify", "--selfie", selfie, "--document-back", front}},
		{"document-front", []string{"verify", "--selfie", selfie, "--document-front", front, "--account", "4711"}},
		{"no-such-file.jpg", []string{"verify", "--selfie", "no-such-file.jpg"}},
		{"verfy", []string{"verfy", "--selfie", selfie}},
		{"verfy", []string{"models", "verfy"}},
		{"lss", []string{"outbox", "lss"}},
		{"account", []string{"enroll", "--selfie", selfie}},
		{`"x" is no sequence number`, []string{"outbox", "show", "x"}},
		{"--log", []string{"--log", "loud", "outbox", "stats"}},
	} {
		r := d.run(append(wrong.args, "--json")...)
		r.want(t, 2, wrong.says)
		if r.stdout != "" {
			t.Errorf("%v\nwant nothing on stdout", r)
		}
	}
	if s := d.stats(); s.Queued != 0 || s.NextSeq != 1 {
		t.Errorf("outbox stats: %+v, want nothing recorded", s)
	}
}

// conforms checks the JSON contract of `verify --json`: every field, of its
// type, and no field that could carry a score.
func conforms(t *testing.T, name, text string) {
	t.Helper()
	v := parse[map[string]any](t, text)
	typed := func(where string, object map[string]any, fields map[string]string) {
		for field, kind := range fields {
			if got := kindOf(object[field]); got != kind {
				t.Errorf("%s: %s%s is %s, want %s", name, where, field, got, kind)
			}
		}
	}
	typed("", v, map[string]string{
		"id": "string", "status": "string", "verdict": "string", "confidence": "number", "final": "boolean", "reasoning": "string",
		"checks": "list", "document": "object", "extracted_data": "object", "models": "list", "timings_ms": "object",
	})
	objects := func(field string, fields map[string]string) {
		list, _ := v[field].([]any)
		for i, item := range list {
			object, ok := item.(map[string]any)
			if !ok {
				t.Errorf("%s: %s[%d] is %s, want object", name, field, i, kindOf(item))
			}
			typed(fmt.Sprintf("%s[%d].", field, i), object, fields)
		}
	}
	objects("checks", map[string]string{
		"name": "string", "result": "string", "reasons": "list", "reasoning": "string", "band": "number", "duration_ms": "number",
	})
	objects("models", map[string]string{"name": "string", "version": "string", "sha256": "string"})
	document, _ := v["document"].(map[string]any)
	typed("document.", document, map[string]string{"class": "string", "side": "string", "format": "string"})
	timings, _ := v["timings_ms"].(map[string]any)
	typed("timings_ms.", timings, map[string]string{"total": "number"})
	if c, _ := v["confidence"].(float64); c < 0 || c > 100 || (c >= 95) != (v["verdict"] == "true" || v["verdict"] == "false") {
		t.Errorf("%s: confidence %v with verdict %v, want at least 95 where it is true or false, below where unknown", name, c, v["verdict"])
	}
	for _, key := range keys(v) {
		for _, word := range []string{"score", "similarity", "distance", "embedding", "vector", "threshold", "probability"} {
			if strings.Contains(strings.ToLower(key), word) {
				t.Errorf("%s: key %q: no score and no vector leaves the device", name, key)
			}
		}
	}
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "missing"
}

// keys lists the names in a document, at any depth.
func keys(value any) (all []string) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			all = append(append(all, key), keys(inner)...)
		}
	case []any:
		for _, inner := range v {
			all = append(all, keys(inner)...)
		}
	}
	return all
}

// secrets fails where the daemon's log, its answers or its records say what
// they must not: scores, or what the card says of its holder.
func secrets(t *testing.T, d *device, more ...string) {
	t.Helper()
	log, err := os.ReadFile(d.log())
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"the log": string(log)}
	list := d.run("outbox", "ls", "--json")
	list.want(t, 0)
	for _, e := range parse[[]struct{ Seq uint64 }](t, list.stdout) {
		shown := d.run("outbox", "show", fmt.Sprint(e.Seq))
		shown.want(t, 0)
		record := parse[struct{ Payload json.RawMessage }](t, shown.stdout)
		texts[fmt.Sprintf("record %d", e.Seq)] = string(record.Payload)
	}
	for where, text := range texts {
		for _, word := range append([]string{"score", "similarity", "embedding", "vector", "base64", surname, "ALEX", number, "740812"}, more...) {
			if strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
				t.Errorf("%s says %q: %s", where, word, tail(text))
			}
		}
	}
}
