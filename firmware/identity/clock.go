package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// floorFile holds the clock floor in milliseconds since 1970.
const floorFile = "clock.floor"

const (
	// maxAhead is how far the wall clock may stand ahead of the floor before
	// it is no longer believed, and how far one authenticated time may raise
	// the floor on its own word.
	maxAhead = 366 * 24 * time.Hour
	// agreement is how near the wall clock must be to a time further ahead.
	agreement = 24 * time.Hour
)

// ErrFarAhead means that a time lies more than a year above the floor and the
// wall clock does not bear it out. One wrong clock at the source would
// otherwise make every later reading unset, for ever.
var ErrFarAhead = errors.New("time is too far ahead of what is known to have passed")

// Quality says how far a wall clock reading can be trusted. The zero value is
// not at all.
type Quality int

// Qualities of a clock reading.
const (
	Unset    Quality = iota // below the floor, or more than a year above it
	Holdover                // plausible, but not disciplined by a time source
	Synced                  // disciplined by a time source
)

// String returns unset, holdover or synced, the words of a record's clock_q.
func (q Quality) String() string {
	switch q {
	case Synced:
		return "synced"
	case Holdover:
		return "holdover"
	}
	return "unset"
}

// Reading is one look at the device's clocks.
type Reading struct {
	Wall    time.Time
	Mono    time.Duration // CLOCK_BOOTTIME: since boot, through suspend
	BootID  string        // of the kernel, a UUID
	Quality Quality
	// ErrMs is the kernel's estimate of the wall clock's error in
	// milliseconds, 0 unless Synced.
	ErrMs uint32
}

// Clock judges the wall clock against a floor: a time that is known to have
// passed. The floor rises with authenticated times, falls only by Reset, and
// survives restarts. It is safe for concurrent use.
type Clock struct {
	path  string
	boot  string
	built time.Time

	mu    sync.Mutex
	floor time.Time
	saved time.Time // the floor on the disk
}

// OpenClock reads the floor kept in dir. built is when this program was built:
// no clock can rightly be earlier. A floor file that does not parse counts as
// absent, because built bounds the harm, and is written anew at the next
// Confirm.
func OpenClock(dir string, built time.Time) (*Clock, error) {
	c := &Clock{path: filepath.Join(dir, floorFile), built: built, floor: built}
	raw, err := os.ReadFile(c.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open clock: %w", err)
	}
	if ms, err := strconv.ParseInt(strings.TrimSuffix(string(raw), "\n"), 10, 64); err == nil {
		c.saved = time.UnixMilli(ms)
		c.floor = later(c.floor, c.saved)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("open clock: %w", err)
	}
	c.boot = strings.TrimSpace(string(boot))
	return c, nil
}

// Now reads the clocks.
func (c *Clock) Now() (Reading, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return Reading{}, fmt.Errorf("read clock: %w", err)
	}
	wall := time.Now()
	synced, errMs, err := disciplined()
	if err != nil {
		return Reading{}, fmt.Errorf("read clock: %w", err)
	}
	r := Reading{Wall: wall, Mono: time.Duration(ts.Nano()), BootID: c.boot, Quality: c.Judge(wall, synced)}
	if r.Quality == Synced {
		r.ErrMs = errMs
	}
	return r, nil
}

// Judge returns the quality of a wall clock reading. A kernel that calls itself
// synchronised is not believed against the floor.
func (c *Clock) Judge(wall time.Time, synced bool) Quality {
	floor := c.Floor()
	switch {
	case wall.Before(floor), wall.After(floor.Add(maxAhead)):
		return Unset
	case synced:
		return Synced
	}
	return Holdover
}

// Floor returns the latest time that is known to have passed.
func (c *Clock) Floor() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor
}

// Confirm raises the floor to t, which must come from an authenticated source:
// a receipt or update metadata. An earlier t changes nothing. A t more than 366
// days above the floor counts only if the wall clock is within 24 hours of it,
// as after a long time in store; otherwise the floor stays and the error matches
// ErrFarAhead, which the caller logs. To spare the flash, the floor on the disk
// lags by up to an hour.
func (c *Clock) Confirm(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.After(c.floor) {
		return nil
	}
	if t.Sub(c.floor) > maxAhead && time.Since(t).Abs() > agreement {
		return fmt.Errorf("confirm clock: %w: %s, floor %s",
			ErrFarAhead, t.UTC().Format(time.RFC3339), c.floor.UTC().Format(time.RFC3339))
	}
	if t.Sub(c.saved) >= time.Hour {
		if err := c.save(t); err != nil {
			return fmt.Errorf("confirm clock: %w", err)
		}
	}
	c.floor = t
	return nil
}

// Reset sets the floor to t on the word of an operator, who knows better than
// what was confirmed: it may lower the floor, at the least to when the program
// was built, or raise it by any step. It is on the disk when Reset returns.
func (c *Clock) Reset(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t = later(c.built, t)
	if err := c.save(t); err != nil {
		return fmt.Errorf("reset clock: %w", err)
	}
	c.floor = t
	return nil
}

// save writes the floor to the disk.
func (c *Clock) save(t time.Time) error {
	raw := strconv.AppendInt(nil, t.UnixMilli(), 10)
	if err := writeDurably(c.path, append(raw, '\n')); err != nil {
		return err
	}
	c.saved = t
	return nil
}

// disciplined asks the kernel whether a time source steers its clock, and for
// the largest error it expects.
func disciplined() (synced bool, errMs uint32, err error) {
	var tx unix.Timex // modes 0: read only
	state, err := unix.Adjtimex(&tx)
	if err != nil {
		return false, 0, err
	}
	synced = state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
	return synced, uint32(min(max(tx.Maxerror, 0)/1000, 1<<31)), nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
