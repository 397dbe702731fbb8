package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/firmware/identity"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models"
)

// Finding is what the doctor says of one part.
type Finding struct {
	Part string `json:"part"`
	// Fine, or what is wrong; a missing part that the configuration does not
	// ask for is fine.
	Fine   bool   `json:"fine"`
	Detail string `json:"detail"`
	// Advice says what to do where something is wrong.
	Advice string `json:"advice,omitempty"`
}

// Doctor looks at one part of a device after the other, whether or not the
// daemon runs. It makes nothing that is not there yet.
func Doctor(ctx context.Context, c Config, build Build) iter.Seq[Finding] {
	parts := []struct {
		name, advice string
		look         func() (string, error)
	}{
		{"models", "run `make setup`, or install the edgeverify package again", func() (string, error) { return doctorModels(c) }},
		{"runtime", "run `make setup`, or install the edgeverify package again", func() (string, error) { return doctorRuntime(c) }},
		{"policy", "change the policy section, or the camera's", func() (string, error) { return doctorPolicy(c) }},
		{"keys", "put the keys back from your backup; without them the data folder cannot be read", func() (string, error) { return doctorKeys(c) }},
		{"data", "see what it says: stop another process, repair the disk, or look at edgeverify outbox ls", func() (string, error) { return doctorData(ctx, c, build) }},
		{"clock", "set the clock, and if it is right run edgeverify doctor --confirm-clock", func() (string, error) { return doctorClock(c, build) }},
		{"disk", "make room: out of service begins where an outcome cannot be kept", func() (string, error) { return doctorDisk(c) }},
		{"camera", "plug the camera in, or name another in camera.source", func() (string, error) { return doctorCamera(ctx, c) }},
		{"uplink", "check the network, uplink.url and the certificates; records wait meanwhile", func() (string, error) { return doctorUplink(ctx, c) }},
	}
	return func(yield func(Finding) bool) {
		for _, p := range parts {
			f := Finding{Part: p.name, Fine: true}
			var err error
			if f.Detail, err = p.look(); err != nil {
				f = Finding{Part: p.name, Detail: strings.ReplaceAll(err.Error(), "\n", "; "), Advice: adviceFor(err, p.advice)}
			}
			if !yield(f) {
				return
			}
		}
	}
}

// adviceFor is what to do about an error whatever part it was found in, or the
// part's usual advice.
func adviceFor(err error, usual string) string {
	var model *models.Error
	switch {
	case errors.As(err, &model):
		return "run `make setup`, or install the edgeverify package again"
	case errors.Is(err, identity.ErrPermissions):
		return "take the file's permissions from group and others: chmod 600"
	case errors.Is(err, os.ErrNotExist):
		return "make the file that is missing, or name another in the configuration"
	}
	return usual
}

func doctorModels(c Config) (string, error) {
	store, err := models.Open(c.Models)
	if err != nil {
		return "", err
	}
	if err := store.Verify(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d models in %s are what the manifest says", len(store.Manifest().Models), store.Dir()), nil
}

// doctorRuntime computes the golden vector of every model on this processor.
func doctorRuntime(c Config) (_ string, err error) {
	store, err := models.Open(c.Models)
	if err != nil {
		return "", err
	}
	engine, err := inference.Open(store, inference.Options{Threads: c.Inference.Threads})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	var faults []error
	for _, m := range store.Manifest().Models {
		faults = append(faults, engine.SelfTest(m.Name))
	}
	return "ONNX Runtime " + engine.RuntimeVersion() + " computes every golden vector", errors.Join(faults...)
}

// doctorPolicy says what a valid policy makes impossible on this device.
func doctorPolicy(c Config) (string, error) {
	p, err := c.Policy.policy()
	if err != nil {
		return "", err
	}
	manifest, err := models.Embedded()
	if err != nil {
		return "", err
	}
	able, err := judge(p, manifest)
	if err != nil {
		return "", err
	}
	var faults []error
	fault := func(why string) { faults = append(faults, errors.New("nobody can be approved: "+why)) }
	if p.Liveness == verify.Challenge {
		fault("policy.liveness is challenge, and this program has no challenge yet")
	}
	if p.Liveness == verify.Frames && c.Camera.Frames < verify.FramesForStrength {
		fault(fmt.Sprintf("policy.liveness is frames, which takes %d, and camera.frames is %d", verify.FramesForStrength, c.Camera.Frames))
	}
	if !p.AcceptUnattested && len(c.Camera.Allowed) == 0 {
		fault("policy.accept_unattested is false and camera.allowed names no camera")
	}
	for _, name := range p.Least {
		if !slices.Contains(able.Runnable(), name) {
			fault(fmt.Sprintf("policy.least demands %s, which this program cannot run yet", name))
		}
	}
	return "it can approve, at a false match rate of " + fmt.Sprint(p.FMR), errors.Join(faults...)
}

func doctorKeys(c Config) (string, error) {
	folder := filepath.Join(c.Data, "keys")
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return "none yet: the first command makes them", nil
	}
	keys, err := identity.Open(folder)
	if err != nil {
		return "", err
	}
	return "device " + keys.Device() + ", assurance " + keys.Assurance(), nil
}

// doctorData asks the daemon, and opens the folder itself where none runs.
func doctorData(ctx context.Context, c Config, build Build) (_ string, err error) {
	if h, err := dial(c.Data).Health(ctx); err == nil {
		return fmt.Sprintf("the daemon runs; records that wait: %d", h.Outbox.Queued), h.trouble()
	}
	if _, err := os.Stat(filepath.Join(c.Data, "vault", "vault.db")); errors.Is(err, os.ErrNotExist) {
		return "nothing is kept yet: the first command makes " + c.Data, nil
	}
	d, err := Open(ctx, c, build, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := errors.Join(d.vault.Check(), d.outbox.Check(ctx)); err != nil {
		return "", err
	}
	h := d.Health(ctx)
	return fmt.Sprintf("no daemon runs; vault and outbox of %s are sound, records that wait: %d", h.Device, h.Outbox.Queued), h.trouble()
}

// trouble is what health finds wrong beside the clock, or nil.
func (h Health) trouble() error {
	var faults []error
	for _, f := range h.Faults {
		if f != clockUnset {
			faults = append(faults, errors.New(f))
		}
	}
	return errors.Join(faults...)
}

func doctorClock(c Config, build Build) (string, error) {
	clock, err := identity.OpenClock(c.Data, build.Time)
	if err != nil {
		return "", err
	}
	now, err := clock.Now()
	if err != nil {
		return "", err
	}
	if now.Quality == identity.Unset {
		return "", fmt.Errorf("the clock says %s, which cannot be: ages and expiry dates stay unknown", now.Wall.Format(time.DateOnly))
	}
	return now.Quality.String(), nil
}

func doctorDisk(c Config) (string, error) {
	var s unix.Statfs_t
	folder := c.Data
	for unix.Statfs(folder, &s) != nil {
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("no file system holds %s", c.Data)
		}
		folder = filepath.Dir(folder)
	}
	free := int64(s.Bavail) * s.Bsize
	if free < c.Outbox.Quota {
		return "", fmt.Errorf("%d MiB are free, the outbox may need %d", free>>20, c.Outbox.Quota>>20)
	}
	return fmt.Sprintf("%d MiB are free", free>>20), nil
}

func doctorCamera(ctx context.Context, c Config) (string, error) {
	if c.Camera.Source == "" {
		return "none is configured", nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := capture.Open(ctx, c.Camera.Source, capture.Options{Width: c.Camera.Width, Height: c.Camera.Height})
	if err != nil {
		return "", err
	}
	defer s.Close()
	var frame capture.Frame
	if err := s.Next(ctx, &frame); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s gives %d×%d pixels", frame.Source.Name, frame.Width, frame.Height), nil
}

func doctorUplink(ctx context.Context, c Config) (string, error) {
	if c.Uplink.URL == "" {
		return "none is configured; records wait", nil
	}
	if _, err := readCollectorKeys(c.Uplink.CollectorKeys); err != nil {
		return "", err
	}
	secure, err := c.Uplink.tls()
	if err != nil {
		return "", err
	}
	at, err := url.Parse(c.Uplink.URL)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	port := at.Port()
	if port == "" {
		port = at.Scheme
	}
	address := net.JoinHostPort(at.Hostname(), port)
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	if at.Scheme == "https" {
		dialer = &tls.Dialer{Config: secure}
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	return "the collector answers at " + at.Host, conn.Close()
}
