package collector

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/edgeverify/edgeverify/sync/record"
	"golang.org/x/time/rate"
)

// Options of a collector. The zero value accepts batches from registered
// devices only, enrols nobody, and answers operators on loopback only.
type Options struct {
	// Logger receives alarms and transitions; nil discards them.
	Logger *slog.Logger
	// ClaimTokens turn on enrolment by trust on first use. Each token, of at
	// least 16 bytes, enrols one device.
	ClaimTokens []Secret
	// AdminToken, of at least 16 bytes, is asked of every operator, also of
	// those on loopback: behind a proxy on this machine everybody is. Without
	// one, operators are admitted on loopback and nowhere else.
	AdminToken Secret
	// Rate and Burst bound the batches per second of one device; 0 stands
	// for 20 and 60.
	Rate  rate.Limit
	Burst int
	// CrashAfterCommit, if set, is called between a commit and its receipt.
	// The crash tests end the process there; nil everywhere else.
	CrashAfterCommit func()
}

// Secret is a bearer token. It prints as asterisks.
type Secret string

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret.
func (Secret) GoString() string { return "***" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

const (
	defaultRate  = 20
	defaultBurst = 60
	minToken     = 16
	housekeeping = 10 * time.Minute
	// keepRequests is how long a used Idempotency-Key is remembered.
	keepRequests = 24 * time.Hour
)

// A Collector receives, keeps and acknowledges records. Its methods may be
// called concurrently.
type Collector struct {
	store   *store
	keys    signingKeys
	options Options
	log     *slog.Logger
	limits  *limits
	running *requests
}

// Open opens or creates the collector's folder: its store and, where there is
// none yet, the key that signs receipts. A key that is missing beside a store is
// an error that names it, and so is a second process on the same folder. The
// caller calls Close.
func Open(dir string, o Options) (*Collector, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Rate <= 0 {
		o.Rate = defaultRate
	}
	if o.Burst <= 0 {
		o.Burst = defaultBurst
	}
	if o.AdminToken != "" && len(o.AdminToken) < minToken {
		return nil, fmt.Errorf("open collector: admin token shorter than %d bytes", minToken)
	}
	for _, claim := range o.ClaimTokens {
		if len(claim) < minToken {
			return nil, fmt.Errorf("open collector: claim token shorter than %d bytes", minToken)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open collector: %w", err)
	}
	db := filepath.Join(dir, "collector.db")
	if _, err := os.Lstat(db); errors.Is(err, fs.ErrNotExist) {
		// The key goes first: a store without one is an error from then on.
		if err := ensureKey(dir); err != nil {
			return nil, fmt.Errorf("open collector: %w", err)
		}
	}
	s, err := openStore(db)
	if err != nil {
		return nil, fmt.Errorf("open collector: %w", err)
	}
	keys, err := loadSigningKeys(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open collector: %w", err), s.close())
	}
	return &Collector{
		store:   s,
		keys:    keys,
		options: o,
		log:     o.Logger,
		limits:  newLimits(o.Rate, o.Burst),
		running: newRequests(),
	}, nil
}

// Close releases the store.
func (c *Collector) Close() error {
	if err := c.store.close(); err != nil {
		return fmt.Errorf("close collector: %w", err)
	}
	return nil
}

// Run forgets what has served its time, until ctx ends: Idempotency-Keys older
// than a day, and the rate limits of silent devices. Records are never
// forgotten.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			c.limits.forgetIdle(now)
			if err := c.store.pruneRequests(now.Add(-keepRequests)); err != nil {
				c.log.Error("housekeeping of the collector's store", "error", err)
			}
		}
	}
}

// PublicKeys returns the keys whose receipts devices should believe: the one in
// use and, while keys change, the next one.
func (c *Collector) PublicKeys() []ed25519.PublicKey { return c.keys.public() }

// AddDevice registers a key of a device, beside those it has: at most
// maxDeviceKeys. Adding a key again changes nothing.
func (c *Collector) AddDevice(tenant, device string, key ed25519.PublicKey) error {
	if err := c.store.addDevice(tenant, device, key); err != nil {
		return fmt.Errorf("add device: %w", err)
	}
	return nil
}

// RevokeDevice takes every key from a device. Its records stay; new ones are
// refused, and it cannot enrol again by itself.
func (c *Collector) RevokeDevice(tenant, device string) error {
	if err := c.store.revokeDevice(tenant, device); err != nil {
		return fmt.Errorf("revoke device: %w", err)
	}
	return nil
}

// Records returns up to limit stored records (1 to 1000) that arrived after the
// arrival number given, in order of arrival; 0 starts at the first. Empty
// tenant or device match all.
func (c *Collector) Records(ctx context.Context, tenant, device string, after uint64, limit int) ([]Stored, error) {
	out, err := c.store.records(ctx, tenant, device, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	return out, nil
}

// Gaps returns which positions of one device's epoch have not arrived.
func (c *Collector) Gaps(ctx context.Context, tenant, device string, epoch uint32) (Gaps, error) {
	g, err := c.store.gaps(ctx, tenant, device, epoch)
	if err != nil {
		return Gaps{}, fmt.Errorf("find gaps: %w", err)
	}
	return g, nil
}

// Handler returns the HTTP API. Serve wraps it in a server with time limits.
func (c *Collector) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/results:batch", c.results)
	mux.HandleFunc("POST /v1/enroll", c.enrol)
	mux.HandleFunc("GET /v1/time", c.time)
	mux.HandleFunc("GET /v1/health", c.health)
	mux.HandleFunc("GET /v1/devices/{id}/gaps", c.operatorsOnly(c.listGaps))
	mux.HandleFunc("GET /v1/records", c.operatorsOnly(c.listRecords))
	return mux
}

// A Stored record is one row: the bytes as the device signed them, and what the
// collector added.
type Stored struct {
	Arrival  uint64 // order of arrival at this collector, from 1
	Received time.Time
	Digest   [32]byte
	Raw      []byte
	Envelope record.Envelope
}

// Gaps says what is missing of one epoch.
type Gaps struct {
	// First is where the epoch begins, 0 while its first record has not
	// arrived: then nothing before the lowest position seen is listed.
	First uint64 `json:"first"`
	// Last is the highest position seen, 0 if none.
	Last uint64 `json:"last"`
	// Missing lists closed ranges between the two, at most maxGaps.
	Missing [][2]uint64 `json:"missing"`
	// Truncated says that there are more ranges than were listed.
	Truncated bool `json:"truncated,omitempty"`
}
