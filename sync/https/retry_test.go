package https

import (
	"net/http"
	"testing"
	"time"

	"github.com/edgeverify/edgeverify/sync/uplink"
)

func TestAWaitIsNeverBelowAReasonableWishNorAboveFifteenMinutes(t *testing.T) {
	for _, c := range []struct {
		retryAfter  string
		least, most time.Duration
	}{
		{"", 0, maxInline},
		{"0", 0, maxInline},
		{"-5", 0, maxInline},
		{"+60", 0, maxInline},
		{"6e1", 0, maxInline},
		{"Fri, 01 Jan 2038 00:00:00 GMT", 0, maxInline},
		{"60", time.Minute, 72 * time.Second},
		{"900", 15 * time.Minute, 15 * time.Minute},
		{"99999999999", uplink.MaxDelay, uplink.MaxDelay},
		{"99999999999999999999999999", uplink.MaxDelay, uplink.MaxDelay},
	} {
		resp := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {c.retryAfter}}}
		for attempt := range 100 {
			if got := backoff(baseWait, maxInline, attempt, resp); got < c.least || got > c.most {
				t.Errorf("backoff with Retry-After %q = %v, want %v to %v", c.retryAfter, got, c.least, c.most)
			}
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "99999999999", "Fri, 01 Jan 2038 00:00:00 GMT", "0x10", "１"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		resp := &http.Response{Header: http.Header{"Retry-After": {value}}}
		if got := retryAfter(resp); got < 0 || got > uplink.MaxDelay {
			t.Errorf("retryAfter(%q) = %v, want 0 to %v", value, got, uplink.MaxDelay)
		}
	})
}
