package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// site is a branch and its centre on one machine: a daemon and a collector.
type site struct {
	program   string
	folder    string
	data      string
	collector string // address
	health    string // address
	config    string // file
	processes []*exec.Cmd
	logs      []*os.File
}

// openSite starts both processes, introduces the device to the collector and
// waits until the daemon is ready.
func openSite(ctx context.Context, folder string) (_ *site, err error) {
	s := &site{folder: folder, data: filepath.Join(folder, "data"), config: filepath.Join(folder, "edgeverify.yaml")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s.program = filepath.Join(filepath.Dir(own), "edgeverify")
	if s.collector, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.health, err = freeAddress(); err != nil {
		return nil, err
	}
	claim, config := filepath.Join(folder, "claim"), fmt.Sprintf(`data: %s
tenant: demo
health: %s
uplink:
  url: http://%s
  collector_keys: %s
  spread: 0s
`, s.data, s.health, s.collector, filepath.Join(folder, "collector.pem"))
	if err := errors.Join(
		os.WriteFile(claim, []byte(rand.Text()), 0o600), os.WriteFile(s.config, []byte(config), 0o600),
	); err != nil {
		return nil, err
	}
	if err := s.start("collector", "collector", "serve", "--store", filepath.Join(folder, "collector"), "--listen", s.collector, "--claims", claim); err != nil {
		return nil, err
	}
	if err := await(ctx, "http://"+s.collector+"/v1/health"); err != nil {
		return nil, fmt.Errorf("the collector: %w", err)
	}
	if out, err := s.command(ctx, "keys", "enroll", "--claim", claim).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("keys enroll: %w: %s", err, out)
	}
	if err := s.start("daemon", "--config", s.config, "run"); err != nil {
		return nil, err
	}
	if err := await(ctx, "http://"+s.health+"/health"); err != nil {
		return nil, fmt.Errorf("the daemon: %w", err)
	}
	return s, nil
}

// command is edgeverify with the site's configuration.
func (s *site) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, s.program, append([]string{"--config", s.config}, args...)...)
}

// start runs a process in the background with its log in the folder.
func (s *site) start(name string, args ...string) error {
	log, err := os.Create(filepath.Join(s.folder, name+".log"))
	if err != nil {
		return err
	}
	s.logs = append(s.logs, log)
	// Not bound to a context: it ends by SIGTERM, as a service does.
	p := exec.Command(s.program, args...)
	p.Stdout, p.Stderr = log, log
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	return nil
}

// close stops the daemon, then the collector.
func (s *site) close() error {
	var errs []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		p := s.processes[i]
		errs = append(errs, p.Process.Signal(syscall.SIGTERM), p.Wait())
	}
	for _, log := range s.logs {
		errs = append(errs, log.Close())
	}
	s.processes, s.logs = nil, nil
	return errors.Join(errs...)
}

// freeAddress is a loopback address that nobody uses now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await asks a page until it answers.
func await(ctx context.Context, page string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := get(ctx, page, nil); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", page, ctx.Err())
		case <-tick.C:
		}
	}
}

// get reads a page's JSON.
func get(ctx context.Context, page string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", page, answer.Status)
	}
	if into == nil {
		_, err := io.Copy(io.Discard, answer.Body)
		return err
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
