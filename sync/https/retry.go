package https

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/edgeverify/edgeverify/sync/uplink"
	"github.com/hashicorp/go-retryablehttp"
)

const (
	retries = 2
	// maxInline is the longest wait between two tries of one Send. A longer
	// wish goes back to the uplink, whose waiting is visible and can be ended.
	maxInline = 5 * time.Second
	baseWait  = 500 * time.Millisecond
)

func newHTTP(config *tls.Config, log *slog.Logger) *retryablehttp.Client {
	if config != nil {
		config = config.Clone()
		config.MinVersion = tls.VersionTLS13
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Timeout: requestTimeout,
			// No Proxy: an environment variable must not decide where records go.
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
				TLSClientConfig:        config,
				TLSHandshakeTimeout:    10 * time.Second,
				ForceAttemptHTTP2:      true,
				MaxIdleConns:           2,
				MaxConnsPerHost:        4,
				IdleConnTimeout:        90 * time.Second,
				ResponseHeaderTimeout:  20 * time.Second,
				MaxResponseHeaderBytes: 16 << 10,
				DisableCompression:     true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:       logger{log},
		RetryWaitMin: baseWait,
		RetryWaitMax: maxInline,
		RetryMax:     retries,
		CheckRetry:   checkRetry,
		Backoff:      backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// checkRetry repeats what a moment may cure, unless the collector asks for more
// than a moment. Certificate errors and the like are not cured by repetition.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	if retryAfter(resp) > maxInline {
		return false, nil
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true, nil
	case http.StatusConflict:
		return inProgress(resp), nil
	case http.StatusNotImplemented:
		return false, nil
	}
	return resp.StatusCode >= 500, nil
}

// inProgress tells the 409 of a delivery that is still under way, which says
// when to come back, from the 409 of a contradiction.
func inProgress(resp *http.Response) bool {
	return resp.StatusCode == http.StatusConflict && resp.Header.Get("Retry-After") != ""
}

// backoff returns a random wait, never below what the collector asked for, as
// far as that lies within [0, uplink.MaxDelay].
func backoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := least
	if attempt < 16 {
		wait = min(most, least<<attempt)
	}
	wait = rand.N(wait + 1)
	if wish := retryAfter(resp); wish > 0 {
		wait = max(wait, min(wish+rand.N(wish/5+1), uplink.MaxDelay))
	}
	return wait
}

// retryAfter returns the seconds form of Retry-After, clamped to
// [0, uplink.MaxDelay]. The date form is ignored: it would be measured against a
// clock that may be wrong by years.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	value := resp.Header.Get("Retry-After")
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0
		}
	}
	if value == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(value, 10, 63)
	if err != nil || seconds > uint64(uplink.MaxDelay/time.Second) {
		return uplink.MaxDelay // more digits than a number holds are a long time, too
	}
	return time.Duration(seconds) * time.Second
}

// logger passes the client's messages on without what may be secret: it keeps
// the attempt's error kind, and drops addresses and headers.
type logger struct{ log *slog.Logger }

var _ retryablehttp.LeveledLogger = logger{}

func (l logger) Error(msg string, kv ...any) { l.debug(msg, kv) }
func (l logger) Warn(msg string, kv ...any)  { l.debug(msg, kv) }
func (l logger) Info(msg string, kv ...any)  { l.debug(msg, kv) }
func (l logger) Debug(msg string, kv ...any) { l.debug(msg, kv) }

// debug logs at one level: the uplink reports what matters, once.
func (l logger) debug(msg string, kv []any) {
	var kept []any
	for i := 0; i+1 < len(kv); i += 2 {
		switch kv[i] {
		case "error":
			if err, ok := kv[i+1].(error); ok {
				kept = append(kept, "error", withoutURL(err))
			}
		case "timeout", "remaining":
			kept = append(kept, kv[i], kv[i+1])
		}
	}
	l.log.Debug(msg, kept...)
}
