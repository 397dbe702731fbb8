//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// camera serves motion JPEG over HTTP, as network cameras do.
type camera struct {
	*httptest.Server
	silent chan struct{} // closed when a connection has sent its last picture
}

// newCamera serves picture(i) as the i-th picture of every connection, and
// after the given number says nothing more.
func newCamera(t *testing.T, picture func(i int) []byte, pictures int) *camera {
	t.Helper()
	c := &camera{silent: make(chan struct{})}
	var once sync.Once
	hangUp := make(chan struct{})
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		beat := time.NewTicker(66 * time.Millisecond)
		defer beat.Stop()
		for i := range pictures {
			data := picture(i)
			if data == nil {
				return
			}
			if _, err := fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(data), data); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-beat.C:
			case <-r.Context().Done():
				return
			}
		}
		once.Do(func() { close(c.silent) })
		select {
		case <-r.Context().Done():
		case <-hangUp:
		}
	}))
	t.Cleanup(func() {
		close(hangUp)
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

const endless = 1 << 20

// still is a camera that delivers one picture again and again.
func still(picture []byte) func(int) []byte {
	return func(int) []byte { return picture }
}

// sitting is n pictures of one person with a sensor's noise, each another.
func sitting(t *testing.T, photo []byte, n int) [][]byte {
	t.Helper()
	from := decode(t, photo)
	random := seeded(t)
	out := make([][]byte, n)
	for i := range out {
		picture := image.NewRGBA(from.Bounds())
		draw.Draw(picture, picture.Bounds(), from, from.Bounds().Min, draw.Src)
		for range 20_000 {
			x, y := random.IntN(picture.Rect.Dx()), random.IntN(picture.Rect.Dy())
			c := picture.RGBAAt(x, y)
			brighter := func(v uint8) uint8 { return uint8(min(int(v)+random.IntN(7), 255)) }
			picture.SetRGBA(x, y, color.RGBA{brighter(c.R), brighter(c.G), brighter(c.B), 255})
		}
		var err error
		if out[i], err = encode(picture); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// look verifies what a source shows, by command, and returns what was printed.
func look(d *device, source string, code int) verification {
	d.t.Helper()
	before := d.stats()
	r := d.run("verify", "--camera", source, "--json")
	r.want(d.t, code)
	v := parse[verification](d.t, r.stdout)
	d.t.Logf("%s: %s %v, assurance %q, after %v", filepath.Base(source), v.Status, v.Reasons, v.Assurance, r.took.Round(time.Millisecond))
	if after := d.stats(); after.Queued != before.Queued+1 {
		d.t.Errorf("verify --camera: %d records queued after %d, want one more", after.Queued, before.Queued)
	}
	return v
}

func TestCameraOutcomeHasTheStrengthOfItsSource(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	frames := sitting(t, a.genuine, 200)
	d := newDevice(t, inAHurry)
	d.start()
	stream := newCamera(t, func(i int) []byte { return frames[i%len(frames)] }, endless)
	shots := filepath.Join(d.folder, "shots")
	if err := os.Mkdir(shots, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, frame := range frames[:7] {
		d.file(fmt.Sprintf("shots/%d.jpg", i), frame)
	}
	for _, source := range []string{stream.URL, shots} {
		v := look(d, source, 0)
		// Neither is a camera of ours: frames of it count as stills, and nobody vouches for them.
		if v.Assurance != "still" {
			t.Errorf("verify --camera %s: assurance %q, want still", source, v.Assurance)
		}
		for _, c := range v.Checks {
			if c.Name == "liveness" && (c.Strength != "still" || c.Attestation != "unattested") {
				t.Errorf("verify --camera %s: liveness %s %s, want still unattested", source, c.Strength, c.Attestation)
			}
		}
	}
}

func TestVideoOfNobodyApprovesNobody(t *testing.T) {
	t.Parallel()
	d := newDevice(t, inAHurry)
	d.start()
	v := look(d, d.file("clip.mp4", pictures(t).clip), 3)
	if v.Status != "double_check" || v.Verdict != "unknown" {
		t.Errorf("verify --camera clip.mp4: %s, verdict %s, want double_check, unknown", v.Status, v.Verdict)
	}
}

func TestCameraThatFailsGivesNoOutcomeButAnError(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	frames := sitting(t, a.genuine, 60)
	ends := func(i int) []byte {
		if i < 3 {
			return frames[i]
		}
		return nil
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, failing := range []struct{ name, source, reason string }{
		{"no camera there", gone.URL, "camera_lost"},
		{"a camera that takes the call and says nothing", newCamera(t, nil, 0).URL, "camera_lost"},
		{"ends after three pictures", newCamera(t, ends, endless).URL, "camera_lost"},
		{"silent after three pictures", newCamera(t, func(i int) []byte { return frames[i] }, 3).URL, "camera_lost"},
		{"one picture again and again", newCamera(t, still(a.genuine), endless).URL, "camera_frozen"},
		{"three pictures in a loop", newCamera(t, func(i int) []byte { return frames[i%3] }, endless).URL, "camera_frozen"},
		{"no such device", "/dev/video99", "camera_lost"},
	} {
		t.Run(failing.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, inAHurry)
			d.start()
			v := look(d, failing.source, 2)
			if v.Status != "error" || v.Verdict != "unknown" || !slices.Contains(v.Reasons, failing.reason) {
				t.Errorf("verify --camera (%s): %s, verdict %s, reasons %v, want error, unknown, %s", failing.name, v.Status, v.Verdict, v.Reasons, failing.reason)
			}
			for _, c := range v.Checks {
				if c.Result == "true" || c.Result == "false" {
					t.Errorf("verify --camera (%s): check %s is %s: nothing was examined", failing.name, c.Name, c.Result)
				}
			}
			var shown struct {
				Payload struct {
					Body struct {
						Status  string   `json:"status"`
						Reasons []string `json:"reasons"`
					} `json:"body"`
				} `json:"payload"`
			}
			if err := d.ask(http.MethodGet, "/outbox/1", nil, &shown); err != nil || shown.Payload.Body.Status != v.Status {
				t.Errorf("the record says %+v, %v, want status %s", shown.Payload.Body, err, v.Status)
			}
		})
	}
}

func TestSourceThatIsNoneIsAUsageError(t *testing.T) {
	t.Parallel()
	d := newDevice(t, inAHurry)
	d.start()
	for _, source := range []string{"ftp://example.org/x", "/no/such/clip.mp4", d.file("text.mp4", bytes.Repeat([]byte("no video "), 100))} {
		d.run("verify", "--camera", source, "--json").want(t, 2, "camera")
	}
	if s := d.stats(); s.Queued != 0 {
		t.Errorf("outbox stats: %+v, want nothing recorded", s)
	}
}

func TestPasswordOfAStreamIsNotRepeated(t *testing.T) {
	t.Parallel()
	const password = "open-sesame"
	d := newDevice(t, inAHurry)
	d.start()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, source := range []string{
		strings.Replace(gone.URL, "http://", "http://clerk:"+password+"@", 1),
		gone.URL + "/video?token=" + password,
		"ftp://clerk:" + password + "@example.org/x",
	} {
		r := d.run("verify", "--camera", source)
		r.want(t, 2)
		if strings.Contains(r.stdout+r.stderr, password) {
			t.Errorf("%v\nwant no password in the output", r)
		}
	}
	secrets(t, d, password)
}

// What reads the log reads JSON lines; the libraries below must not speak into it.
func TestLogOfADaemonWhoseCameraFailsIsJSONLines(t *testing.T) {
	t.Parallel()
	d := newDevice(t, inAHurry)
	daemon := d.start()
	gone := httptest.NewServer(http.NotFoundHandler())
	look(d, gone.URL, 2)
	gone.Close()
	look(d, gone.URL, 2)
	look(d, newCamera(t, func(i int) []byte { return []byte("no picture") }, 5).URL, 2)
	for text := range strings.Lines(daemon.output(t)) {
		if !json.Valid([]byte(text)) {
			t.Errorf("a line of the log is no JSON: %s", text)
		}
	}
}
