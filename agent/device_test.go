package agent

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/agent/specimen"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/models/modelstest"
	"github.com/edgeverify/edgeverify/sync/outbox"
)

// testConfig is the default configuration in a folder of the test.
func testConfig(t testing.TB) Config {
	t.Helper()
	c := DefaultConfig()
	c.Data, c.Models, c.Health = t.TempDir(), modelstest.Open(t).Dir(), ""
	return c
}

func testBuild() Build { return Build{Version: "test", Time: time.Now().Add(-time.Hour)} }

// testDevice opens a device for the test.
func testDevice(t testing.TB, c Config) *Device {
	t.Helper()
	d, err := Open(t.Context(), c, testBuild(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

// album holds the pictures of the tests: one man in two photos of the gocv
// module, the specimen card with one of them, a stranger, and a print.
type album struct{ holder, front, stranger, print []byte }

func pictures(t testing.TB) album {
	t.Helper()
	holder := readPhoto(t, modelstest.GocvPhoto(t, "face.jpg"), image.Rectangle{})
	portrait := readPhoto(t, modelstest.GocvPhoto(t, "face-detect.jpg"), image.Rect(143, 90, 271, 218))
	front, err := specimen.Front(portrait, specimen.Holder{
		Surname: "SPECIMEN", GivenNames: "ALEX", Number: "D23145890", Birth: "740812", Expiry: "340811", Sex: "M",
	})
	if err != nil {
		t.Fatal(err)
	}
	return album{
		holder: encoded(t, holder), front: encoded(t, specimen.OnTable(front)), print: encoded(t, specimen.HeldPrint(holder)),
		stranger: encoded(t, readPhoto(t, modelstest.DemoPhoto(t, 3), image.Rect(880, 60, 1420, 760))),
	}
}

func readPhoto(t testing.TB, path string, part image.Rectangle) image.Image {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	photo, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if part.Empty() {
		part = photo.Bounds()
	}
	out := image.NewRGBA(image.Rect(0, 0, part.Dx(), part.Dy()))
	draw.Draw(out, out.Bounds(), photo, part.Min, draw.Src)
	return out
}

func encoded(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// check returns one check of a verification.
func check(t *testing.T, v verify.Verification, name verify.CheckName) verify.Check {
	t.Helper()
	for _, c := range v.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %s in %v", name, v.Checks)
	return verify.Check{}
}

func TestPeopleAreDecidedRecordedAndShown(t *testing.T) {
	d, p := testDevice(t, testConfig(t)), pictures(t)
	for i, c := range []struct {
		name   string
		ask    VerifyRequest
		status verify.Status
		check  verify.CheckName
		result verify.Result
	}{
		{"holder", VerifyRequest{Selfie: p.holder, DocumentFront: p.front}, verify.Approved, verify.FaceMatch, verify.True},
		{"stranger", VerifyRequest{Selfie: p.stranger, DocumentFront: p.front}, verify.Rejected, verify.FaceMatch, verify.False},
		{"print", VerifyRequest{Selfie: p.print, DocumentFront: p.front}, verify.Rejected, verify.Liveness, verify.False},
		{"check of a later day", VerifyRequest{Selfie: p.holder, DocumentFront: p.front, Checks: []string{"document"}}, verify.DoubleCheck, verify.Document, verify.NotRun},
		{"his own photo as the document", VerifyRequest{Selfie: p.holder, DocumentFront: p.holder}, verify.DoubleCheck, verify.FaceMatch, verify.Flagged},
		{"no reference", VerifyRequest{Selfie: p.holder}, verify.DoubleCheck, verify.FaceMatch, verify.NotRun},
		{"nobody", VerifyRequest{Selfie: grey(t), DocumentFront: p.front}, verify.DoubleCheck, verify.FaceMatch, verify.Unknown},
		{"card without portrait", VerifyRequest{Selfie: p.holder, DocumentFront: grey(t)}, verify.DoubleCheck, verify.FaceMatch, verify.Unknown},
	} {
		v, err := d.Verify(t.Context(), c.ask)
		if err != nil {
			t.Fatalf("%s: Verify: %v", c.name, err)
		}
		if v.Status != c.status || check(t, v, c.check).Result != c.result {
			t.Errorf("%s: got %s with %s %s, want %s with %s; %s", c.name, v.Status, c.check, check(t, v, c.check).Result, c.status, c.result, v.Reasoning)
		}
		if v.Final {
			t.Errorf("%s: got a final verdict, want one that the centre may overrule", c.name)
		}
		shown, err := d.vault.Verification(t.Context(), v.ID)
		if err != nil || shown.Status != v.Status {
			t.Errorf("%s: stored: got %s, %v, want %s", c.name, shown.Status, err, v.Status)
		}
		stats, err := d.outboxStats(t.Context())
		if err != nil || stats.Queued != i+1 || stats.Pending != 0 {
			t.Errorf("%s: outbox: got %d queued, %d pending, %v, want %d, 0", c.name, stats.Queued, stats.Pending, err, i+1)
		}
	}
}

// grey is a picture of nothing, large enough for a document.
func grey(t *testing.T) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 1280, 720))
	draw.Draw(m, m.Bounds(), image.NewUniform(color.Gray{128}), image.Point{}, draw.Src)
	return encoded(t, m)
}

func TestRequestsThatCannotBeCarriedOutLeaveNoTrace(t *testing.T) {
	d, p := testDevice(t, testConfig(t)), pictures(t)
	for name, c := range map[string]struct {
		ask  VerifyRequest
		says string
	}{
		"nobody":           {VerifyRequest{DocumentFront: p.front}, "picture of the person"},
		"two people":       {VerifyRequest{Selfie: p.holder, Camera: "camera:0"}, "either"},
		"unknown check":    {VerifyRequest{Selfie: p.holder, Checks: []string{"mood"}}, "mood"},
		"unknown country":  {VerifyRequest{Selfie: p.holder, Country: "QQ"}, "QQ"},
		"unknown class":    {VerifyRequest{Selfie: p.holder, DocumentType: "napkin"}, "napkin"},
		"back alone":       {VerifyRequest{Selfie: p.holder, DocumentBack: p.front}, "front"},
		"two references":   {VerifyRequest{Selfie: p.holder, DocumentFront: p.front, Account: "1"}, "both"},
		"unknown account":  {VerifyRequest{Selfie: p.holder, Account: "nobody"}, "account"},
		"no image":         {VerifyRequest{Selfie: []byte("%PDF-1.7"), DocumentFront: p.front}, "selfie"},
		"half a document":  {VerifyRequest{Selfie: p.holder, DocumentFront: p.front[:len(p.front)/2]}, "document_front"},
		"unknown source":   {VerifyRequest{Camera: "nowhere:1", DocumentFront: p.front}, "camera"},
		"a missing folder": {VerifyRequest{Camera: filepath.Join(t.TempDir(), "none.mp4"), DocumentFront: p.front}, "camera"},
	} {
		_, err := d.Verify(t.Context(), c.ask)
		if !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Verify: got %v, want ErrRequest that says %q", name, err, c.says)
		}
	}
	if stats, err := d.outboxStats(t.Context()); err != nil || stats.Queued+stats.Pending != 0 {
		t.Errorf("outbox: got %+v, %v, want nothing recorded", stats, err)
	}
}

func TestAnEnrolledPersonIsVerifiedAgainstTheAccount(t *testing.T) {
	d, p := testDevice(t, testConfig(t)), pictures(t)
	refused, err := d.Enrol(t.Context(), EnrolRequest{Account: "4711", Selfie: p.print})
	if err != nil || refused.Enrolled {
		t.Errorf("Enrol of a print: got %v, %v, want a refusal", refused.Enrolled, err)
	}
	done, err := d.Enrol(t.Context(), EnrolRequest{Account: "4711", Selfie: p.holder})
	if err != nil || !done.Enrolled {
		t.Fatalf("Enrol: got %+v, %v", done, err)
	}
	for name, c := range map[string]struct {
		selfie []byte
		status verify.Status
	}{"holder": {p.holder, verify.Approved}, "stranger": {p.stranger, verify.Rejected}} {
		v, err := d.Verify(t.Context(), VerifyRequest{Selfie: c.selfie, Account: "4711"})
		if err != nil || v.Status != c.status {
			t.Errorf("Verify %s against the account: got %s, %v, want %s", name, v.Status, err, c.status)
		}
	}
	entries, err := d.outboxList(t.Context(), 0)
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, string(e.Kind))
	}
	if got, want := strings.Join(kinds, " "), "attack enrolment verification verification"; err != nil || got != want {
		t.Errorf("outbox: got %s, %v, want %s", got, err, want)
	}
}

func TestAMissingModelIsAnErrorWithoutAVerdict(t *testing.T) {
	c, p := testConfig(t), pictures(t)
	from := c.Models
	c.Models = t.TempDir()
	for _, name := range []string{"face-detector.onnx", "face-encoder.onnx", "head-pose.onnx", modelstest.Open(t).Manifest().Runtime.File} {
		if err := os.Link(filepath.Join(from, name), filepath.Join(c.Models, name)); err != nil {
			t.Fatal(err)
		}
	}
	d := testDevice(t, c)
	v, err := d.Verify(t.Context(), VerifyRequest{Selfie: p.holder, DocumentFront: p.front})
	if err != nil {
		t.Fatal(err)
	}
	if v.Status != verify.Error || v.Verdict != verify.VerdictUnknown || len(v.Reasons) != 1 || v.Reasons[0] != verify.ModelUnavailable {
		t.Errorf("Verify without the PAD model: got %s, verdict %s, %v, want error, unknown, %s", v.Status, v.Verdict, v.Reasons, verify.ModelUnavailable)
	}
	if err := d.work.Warm(); err == nil || !strings.Contains(err.Error(), "pad") {
		t.Errorf("Warm: got %v, want the model named", err)
	}
}

func TestAFullOutboxTakesTheDeviceOutOfServiceAndBack(t *testing.T) {
	c, p := testConfig(t), pictures(t)
	c.Outbox.Quota = outbox.MinQuota
	c.Policy.Least = []string{"quality", "liveness"}
	d := testDevice(t, c)
	// Bulky records fill the rest.
	filler := []byte(`{"filler":"` + strings.Repeat("x", 20_000) + `"}`)
	for {
		if _, err := d.outbox.Put(t.Context(), newID(), "verification", filler); errors.Is(err, outbox.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	ask := VerifyRequest{Selfie: p.holder, Checks: []string{}}
	var refused error
	for range 200 { // small records still find gaps for a while
		if _, refused = d.Verify(t.Context(), ask); refused != nil {
			break
		}
	}
	if !errors.Is(refused, ErrOutOfService) {
		t.Fatalf("Verify on a full outbox: got %v, want ErrOutOfService", refused)
	}
	if h := d.Health(t.Context()); h.State != OutOfService {
		t.Errorf("Health: got %s, want %s", h.State, OutOfService)
	}
	pending, err := d.waiting(t.Context())
	if err != nil || pending != 1 {
		t.Fatalf("outcomes that wait in the vault: got %d, %v, want the one that was refused", pending, err)
	}
	if _, err := d.Verify(t.Context(), ask); !errors.Is(err, ErrOutOfService) {
		t.Errorf("Verify again: got %v, want ErrOutOfService", err)
	}
	if pending, err := d.waiting(t.Context()); err != nil || pending != 1 {
		t.Errorf("outcomes that wait: got %d, %v, want still one: nothing is examined out of service", pending, err)
	}
	settleAll(t, d.outbox)
	if _, err := d.Verify(t.Context(), ask); err != nil {
		t.Errorf("Verify after the outbox was drained: got %v, want back in service", err)
	}
	if pending, err := d.waiting(t.Context()); err != nil || pending != 0 {
		t.Errorf("outcomes that wait: got %d, %v, want none", pending, err)
	}
	if h := d.Health(t.Context()); h.State != InOrder {
		t.Errorf("Health: got %s %v, want %s", h.State, h.Faults, InOrder)
	}
}

func TestASecondProcessOnTheFolderIsRefused(t *testing.T) {
	c := testConfig(t)
	testDevice(t, c)
	_, err := Open(t.Context(), c, testBuild(), slog.New(slog.DiscardHandler))
	if !errors.Is(err, outbox.ErrInUse) {
		t.Errorf("second Open: got %v, want ErrInUse", err)
	}
}

func TestACommandServesTheDeviceWhereNoDaemonRuns(t *testing.T) {
	c, p := testConfig(t), pictures(t)
	log := slog.New(slog.DiscardHandler)
	first, err := Connect(t.Context(), c, testBuild(), log)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Connect(t.Context(), c, testBuild(), log) // finds the first one's socket
	if err != nil {
		t.Fatal(err)
	}
	v, err := second.Verify(t.Context(), VerifyRequest{Selfie: p.holder, DocumentFront: p.front})
	if err != nil || v.Status != verify.Approved {
		t.Errorf("Verify: got %s, %v, want approved", v.Status, err)
	}
	_, err = second.Verify(t.Context(), VerifyRequest{})
	var problem *Problem
	if !errors.As(err, &problem) || problem.Status != 400 {
		t.Errorf("Verify of nobody: got %v, want a problem of status 400", err)
	}
	shown, err := first.OutboxShow(t.Context(), 1)
	if err != nil || !bytes.Contains(shown.Payload, []byte(v.ID)) || bytes.Contains(shown.Payload, []byte("score")) {
		t.Errorf("OutboxShow: got %s, %v, want the verification's record without a score", shown.Payload, err)
	}
	if err := errors.Join(second.Close(), first.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestOnlyTheOwnerReachesKeysAndSocket(t *testing.T) {
	c := testConfig(t)
	client, err := Connect(t.Context(), c, testBuild(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, want := range map[string]os.FileMode{"keys": 0o700, SocketName: 0o660, "outbox": 0o700, "vault": 0o700} {
		info, err := os.Stat(filepath.Join(c.Data, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

func TestTheDaemonStopsWithinTwoSeconds(t *testing.T) {
	c := testConfig(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, c, testBuild(), slog.New(slog.DiscardHandler)) }()
	client := dial(c.Data)
	until(t, "the daemon answers", func() bool {
		if len(ended) > 0 {
			t.Fatalf("Run: %v", <-ended)
		}
		_, err := client.Health(t.Context())
		return err == nil
	})
	stop()
	start := time.Now()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	if took := time.Since(start); took > 20*time.Second { // ten times the room
		t.Errorf("Run ended after %v, want 2 s", took)
	} else {
		t.Logf("stopped in %v", took)
	}
	client.http.CloseIdleConnections()
}

func TestCountriesAreUnderstoodByTwoAndThreeLetters(t *testing.T) {
	for given, want := range map[string]string{"": "", "DE": "DEU", "deu": "DEU", "FRA": "FRA", "GB": "GBR"} {
		if got, err := countryCode(given); err != nil || got != want {
			t.Errorf("countryCode(%q): got %q, %v, want %q", given, got, err, want)
		}
	}
	for _, given := range []string{"Germany", "001", "XX-", "EU4"} {
		if got, err := countryCode(given); err == nil {
			t.Errorf("countryCode(%q): got %q, want an error", given, got)
		}
	}
}
