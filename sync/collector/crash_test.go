package collector_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/edgeverify/edgeverify/sync/collector"
	"github.com/edgeverify/edgeverify/sync/record"
)

const childEnv = "COLLECTOR_CRASH_TEST_DIR"

func childDir() string { return os.Getenv(childEnv) }

// crashChild serves a collector that dies between commit and receipt.
func crashChild(dir string) {
	c, err := collector.Open(dir, collector.Options{CrashAfterCommit: func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal arrives
	}})
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	s := httptest.NewServer(c.Handler())
	fmt.Println(s.URL)
	select {}
}

func TestACollectorKilledBeforeTheReceiptAnswersDuplicateAfterwards(t *testing.T) {
	const crashes = 10
	dir := t.TempDir()
	d := newDevice("kiosk-1")
	setUp, err := collector.Open(dir, collector.Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if err := setUp.AddDevice(d.tenant, d.name, d.public()); err != nil {
		t.Fatalf("AddDevice: %v", err)
	}
	if err := setUp.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	var sent [][]byte
	for i := range crashes {
		raw := d.next(t)
		sent = append(sent, raw)
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		url, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || !strings.HasPrefix(url, "http") {
			t.Fatalf("child %d said %q, %v", i, url, err)
		}
		resp, err := http.DefaultClient.Do(d.request(t, strings.TrimSpace(url), raw))
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			_ = child.Process.Kill()
			t.Errorf("delivery %d = %d %s, want the connection to break", i, resp.StatusCode, body)
		}
		if err := child.Wait(); err == nil {
			t.Errorf("child %d ended by itself, want a kill", i)
		}
	}
	c := open(t, dir, collector.Options{})
	s := httptest.NewServer(c.Handler())
	defer s.Close()
	r := receipt(t, c, d, d.request(t, s.URL, sent...))
	for i := range sent {
		wantItem(t, r, i, record.Duplicate, "")
	}
	if got := rows(t, c); len(got) != crashes {
		t.Errorf("Records after %d crashes = %d rows, want %d", crashes, len(got), crashes)
	}
}
