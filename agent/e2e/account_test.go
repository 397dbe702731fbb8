//go:build e2e

package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestAccountIsVerifiedAgainstWhatWasEnrolled(t *testing.T) {
	t.Parallel()
	a := pictures(t)
	d := newDevice(t, "")
	daemon := d.start()
	const account = "DE02-1203-0000"
	genuine, impostor, print := d.file("genuine.jpg", a.genuine), d.file("impostor.jpg", a.impostor), d.file("print.jpg", a.print)

	d.run("verify", "--selfie", genuine, "--account", account).want(t, 2, "account")
	d.run("enroll", "--selfie", print, "--account", account).want(t, 1, "NOT ENROLLED", "liveness", "false")
	d.run("verify", "--selfie", genuine, "--account", account).want(t, 2, "account")
	if s := d.stats(); s.Queued != 1 {
		t.Errorf("outbox stats: %+v, want the attack recorded and nothing else", s)
	}

	d.run("enroll", "--selfie", genuine, "--account", account).want(t, 0, "ENROLLED", account)
	for _, person := range []struct {
		selfie, status, result string
		code                   int
	}{{genuine, "approved", "true", 0}, {impostor, "rejected", "false", 1}, {print, "rejected", "true", 1}} {
		r := d.run("verify", "--selfie", person.selfie, "--account", account, "--json")
		r.want(t, person.code)
		v := parse[verification](t, r.stdout)
		match := ""
		for _, c := range v.Checks {
			if c.Name == "face_match" {
				match = c.Result
			}
		}
		if v.Status != person.status || match != person.result {
			t.Errorf("verify --selfie %s --account: %s, face_match %s, want %s, %s", person.selfie, v.Status, match, person.status, person.result)
		}
	}
	d.run("verify", "--selfie", genuine, "--account", "another").want(t, 2, "account")
	if s := d.stats(); s.Queued != 5 {
		t.Errorf("outbox stats: %+v, want the attack, the enrolment and three verifications", s)
	}
	d.run("outbox", "ls").want(t, 0, "attack", "enrolment", "verification")
	secrets(t, d, account, "another")

	// Nor is any of it to be found on the disk of a device that is carried off.
	daemon.kill()
	err := filepath.WalkDir(d.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, word := range []string{account, "another", surname, number, "face_match", "approved", "rejected"} {
			if bytes.Contains(content, []byte(word)) {
				t.Errorf("%s holds %q in clear", path, word)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
