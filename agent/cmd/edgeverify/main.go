// Command edgeverify verifies a person's identity on the device. This is the
// only place that exits.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/edgeverify/edgeverify/agent"
)

// Set by the linker.
var (
	version = "unknown"
	built   = "0" // seconds since 1970 of the commit that was built
)

// Exit codes.
const (
	exitApproved = 0
	exitRejected = 1
	exitError    = 2 // usage or machinery
	exitReview   = 3
)

func main() {
	if err := quiet(); err != nil {
		fmt.Fprintln(os.Stderr, "edgeverify:", err)
		os.Exit(exitError)
	}
	os.Exit(run())
}

// quiet keeps FFmpeg, which opens streams and files for us, from writing to
// stderr: what went wrong is in our errors, and the log is JSON line by line.
func quiet() error {
	const level = "OPENCV_FFMPEG_LOGLEVEL"
	if _, set := os.LookupEnv(level); set {
		return nil
	}
	return os.Setenv(level, "-8")
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root().ExecuteContext(ctx)
	var code *exitCode
	switch {
	case err == nil:
		return exitApproved
	case errors.As(err, &code):
		return code.code
	}
	fmt.Fprintln(os.Stderr, "edgeverify:", err)
	return exitError
}

// exitCode ends a command that has said all there is to say.
type exitCode struct{ code int }

func (e *exitCode) Error() string { return "exit " + strconv.Itoa(e.code) }

func build() agent.Build {
	seconds, _ := strconv.ParseInt(built, 10, 64) // a build that names no time cannot judge a clock
	return agent.Build{Version: version, Time: time.Unix(seconds, 0)}
}
