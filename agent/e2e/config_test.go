//go:build e2e

package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadConfigurationIsRefusedByKey(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct {
		name, text string
		env        []string
		says       []string
	}{
		{"health for all the world", "health: 0.0.0.0:7390\n", nil, []string{"health", "loopback"}},
		{"health on any address", "health: :7390\n", nil, []string{"health", "loopback"}},
		{"unknown key", "tenant: a\nbeauty: true\n", nil, []string{"line 2: beauty"}},
		{"unknown key inside", "outbox:\n  quota: 8388608\n  speed: 3\n", nil, []string{"line 3: outbox.speed"}},
		{"no YAML", "data: [\n", nil, []string{"configuration"}},
		{"an unmeasured rate", "policy:\n  face_match:\n    fmr: 0.5\n", nil, []string{"policy", "0.5"}},
		{"an unknown check", "policy:\n  least: [beauty]\n", nil, []string{"policy", "beauty"}},
		{"several faults", "data: here\ntenant: \"\"\nhealth: 8.8.8.8:1\ncamera:\n  frames: 0\ninference:\n  threads: 0\nuplink:\n  url: ftp://x\n  spread: 9h\n", nil,
			[]string{"data:", "tenant:", "health:", "camera.frames:", "inference.threads:", "uplink.url:", "uplink.collector_keys:", "uplink.spread:"}},
		{"environment", "", []string{"EDGEVERIFY_INFERENCE_THREADS=many", "EDGEVERIFY_TENANT="}, []string{"EDGEVERIFY_INFERENCE_THREADS", "tenant:"}},
		{"records over the open net", "uplink:\n  url: http://192.0.2.1:80\n  collector_keys: /k\n", nil, []string{"uplink.url", "https"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			file := filepath.Join(folder(t), "edgeverify.yaml")
			if err := os.WriteFile(file, []byte(bad.text), 0o600); err != nil {
				t.Fatal(err)
			}
			r := finish(t, append(bad.env, "EDGEVERIFY_DATA="+filepath.Join(filepath.Dir(file), "data")), "--config", file, "run")
			if strings.Contains(bad.text, "data: here") {
				r = finish(t, bad.env, "--config", file, "run")
			}
			r.want(t, 2, bad.says...)
			t.Logf("%s", strings.TrimSpace(r.stderr))
		})
	}
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, inAHurry)
	d.start()
	d.mustVerify(request{Selfie: a.genuine})
	mode := func(name string) fs.FileMode {
		info, err := os.Lstat(filepath.Join(d.data, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	for name, want := range map[string]fs.FileMode{
		".": fs.ModeDir | 0o710, "keys": fs.ModeDir | 0o700, "vault": fs.ModeDir | 0o700, "outbox": fs.ModeDir | 0o700,
		"admin.sock": fs.ModeSocket | 0o660, "keys/signing.pem": 0o600, "keys/data.key": 0o600,
	} {
		if got := mode(name); got != want {
			t.Errorf("mode of %s: %v, want %v", name, got, want)
		}
	}
	// Whatever else is there: no other user may read it.
	err := filepath.WalkDir(d.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type() == fs.ModeSocket {
			return err
		}
		info, err := e.Info()
		if err == nil && path != d.data && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("mode of %s: %v, want nothing for group and others", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKeysOpenToOthersAreRefused(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "")
	d.run("keys", "show").want(t, 0, "device")
	if err := os.Chmod(filepath.Join(d.data, "keys", "signing.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.run("run").want(t, 2, "signing.pem", "0644")
}

func TestHealthPageTellsTheStateAndNothingElse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, "")
	d.env = []string{"EDGEVERIFY_HEALTH=" + address}
	d.start()
	for path, want := range map[string]int{
		"/health": http.StatusOK, "/verify": http.StatusNotFound, "/outbox/stats": http.StatusNotFound, "/outbox?after=0": http.StatusNotFound, "/": http.StatusNotFound,
	} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("GET %s on the health page: %s, want %d", path, answer.Status, want)
		}
	}
	if err := reachable(address); err != nil {
		t.Error(err)
	}
}

// reachable returns an error if the port answers on an address of this machine
// that is not loopback.
func reachable(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range all {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
			continue
		}
		conn, err := net.Dial("tcp", net.JoinHostPort(ip.IP.String(), port))
		if err == nil {
			conn.Close()
			return fmt.Errorf("the health page answers on %s", ip.IP)
		}
	}
	return nil
}
