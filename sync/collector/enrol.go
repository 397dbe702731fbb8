package collector

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
)

const maxEnrolment = 4 << 10

// enrolment is the body of POST /v1/enroll. Keys are 32 bytes of Ed25519 in
// base64.
type enrolment struct {
	Tenant    string `json:"tenant"`
	Device    string `json:"device"`
	PublicKey []byte `json:"public_key"`
}

// enrol registers a device that presents one of the claim tokens as a bearer
// token, and tells it whose receipts to believe. That is trust on first use:
// both sides believe the line that they meet on.
func (c *Collector) enrol(w http.ResponseWriter, r *http.Request) {
	if len(c.options.ClaimTokens) == 0 {
		refuse(w, http.StatusForbidden, "enrolment_off", "this collector was started without claim tokens")
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if !c.limits.allow("enrol\x00" + host) {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusTooManyRequests, "rate", "too many attempts")
		return
	}
	claim, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !slices.ContainsFunc(c.options.ClaimTokens, func(t Secret) bool { return sameSecret(string(t), claim) }) {
		refuse(w, http.StatusUnauthorized, "claim", ErrClaim.Error())
		return
	}
	var e enrolment
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxEnrolment))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		refuse(w, http.StatusBadRequest, "body", "body must be {tenant, device, public_key}")
		return
	}
	if err := checkDevice(e.Tenant, e.Device, e.PublicKey); err != nil {
		refuse(w, http.StatusBadRequest, "body", err.Error())
		return
	}
	err := c.store.claimDevice(e.Tenant, e.Device, ed25519.PublicKey(e.PublicKey), claim)
	switch {
	case errors.Is(err, ErrClaim):
		refuse(w, http.StatusForbidden, "claim", err.Error())
	case errors.Is(err, ErrDeviceKnown):
		refuse(w, http.StatusConflict, "device_known", err.Error())
	case err != nil:
		c.unavailable(w, "enrol a device", err)
	default:
		c.log.Warn("device enrolled on first use", "tenant", e.Tenant, "device", e.Device)
		writeJSON(w, http.StatusOK, map[string][]ed25519.PublicKey{"collector_keys": c.PublicKeys()})
	}
}
