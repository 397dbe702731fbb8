package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
)

// SocketName is the admin socket in the data folder. Only its owner and group
// may connect; whoever can is trusted as the device's administrator.
const SocketName = "admin.sock"

// maxRequest bounds a request on the socket: three images in base64.
const maxRequest = 48 << 20

// admin is what commands ask of a device.
func (d *Device) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /verify", answer(func(r *http.Request) (any, error) {
		return inSlot(d, r, d.Verify)
	}))
	mux.HandleFunc("POST /enroll", answer(func(r *http.Request) (any, error) {
		return inSlot(d, r, d.Enrol)
	}))
	mux.HandleFunc("GET /verification/{id}", answer(func(r *http.Request) (any, error) {
		return d.vault.Verification(r.Context(), r.PathValue("id"))
	}))
	mux.HandleFunc("GET /outbox", answer(func(r *http.Request) (any, error) {
		after, err := strconv.ParseUint(r.FormValue("after"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: after must be a sequence number", ErrRequest)
		}
		return d.outboxList(r.Context(), after)
	}))
	mux.HandleFunc("GET /outbox/stats", answer(func(r *http.Request) (any, error) { return d.outboxStats(r.Context()) }))
	mux.HandleFunc("GET /outbox/{seq}", answer(func(r *http.Request) (any, error) {
		seq, err := seqOf(r)
		if err != nil {
			return nil, err
		}
		return d.outboxShow(r.Context(), seq)
	}))
	mux.HandleFunc("POST /outbox/{seq}/retry", answer(func(r *http.Request) (any, error) {
		seq, err := seqOf(r)
		if err != nil {
			return nil, err
		}
		err = d.outbox.Retry(r.Context(), seq)
		if errors.Is(err, outbox.ErrNotFound) {
			err = fmt.Errorf("%w: record %d is not in quarantine", ErrRequest, seq)
		}
		return struct{}{}, err
	}))
	mux.HandleFunc("POST /clock/confirm", answer(func(r *http.Request) (any, error) { return struct{}{}, d.confirmClock(r.Context()) }))
	mux.HandleFunc("GET /health", answer(func(r *http.Request) (any, error) { return d.Health(r.Context()), nil }))
	return d.counted(mux)
}

// counted lets Close wait for the requests in progress.
func (d *Device) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.using.RLock()
		defer d.using.RUnlock()
		h.ServeHTTP(w, r)
	})
}

// inSlot reads a request with pictures and carries it out once there is room
// for it in memory.
func inSlot[Q, A any](d *Device, r *http.Request, do func(context.Context, Q) (A, error)) (answer A, err error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-r.Context().Done():
		return answer, r.Context().Err()
	}
	var request Q
	if err := decode(r, &request); err != nil {
		return answer, err
	}
	return do(r.Context(), request)
}

// answer turns a function into a handler.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := f(r)
		if err != nil {
			writeProblem(w, err)
			return
		}
		writeJSON(w, value)
	}
}

func decode(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return fmt.Errorf("%w: more than %d MiB in all", ErrRequest, maxRequest>>20)
		}
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return nil
}

func seqOf(r *http.Request) (uint64, error) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no sequence number", ErrRequest, r.PathValue("seq"))
	}
	return seq, nil
}

// listenAdmin takes the socket over. The caller holds the data folder, so a
// socket that is there belongs to a process that died.
func listenAdmin(data string) (net.Listener, error) {
	path := filepath.Join(data, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	return l, nil
}

// stopWithin is how long requests in progress may take after a stop.
const stopWithin = 1500 * time.Millisecond

// serve answers on l until ctx ends; requests in progress then have the grace
// to finish before their contexts are cancelled. They may outlast serve by what
// they need to notice.
func serve(ctx context.Context, l net.Listener, h http.Handler, grace time.Duration) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	waiting, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer done()
	err := server.Shutdown(waiting)
	if errors.Is(err, context.DeadlineExceeded) {
		cancel()
		err = server.Close()
	}
	<-served
	return err
}
