package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/edgeverify/edgeverify/agent/vault"
	"github.com/edgeverify/edgeverify/sync/outbox"
)

// Problem is an error that crossed the admin socket (RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return p.Detail }

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrOutOfService), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case errors.Is(err, ErrRequest):
		return http.StatusBadRequest
	case errors.Is(err, outbox.ErrNotFound), errors.Is(err, vault.ErrNotFound):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

func writeProblem(w http.ResponseWriter, err error) {
	status := statusOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// The other side is a command on this machine; if it is gone, nobody reads.
	_ = json.NewEncoder(w).Encode(Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()})
}

func writeJSON(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		writeProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}
