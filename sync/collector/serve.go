package collector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// stopWithin bounds how long Serve waits for requests in progress.
const stopWithin = 1500 * time.Millisecond

// Serve answers on l until ctx ends, and closes l. It returns within two seconds
// of that; what it cuts off, the device sends again. With a TLS configuration it
// speaks TLS 1.3 only; without one, l must be on loopback.
func (c *Collector) Serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	if config == nil && !onLoopback(l.Addr()) {
		return errors.Join(
			fmt.Errorf("serve collector on %s: without TLS only loopback is served", l.Addr()), l.Close())
	}
	server := &http.Server{
		Handler:           c.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() {
		if config == nil {
			served <- server.Serve(l)
			return
		}
		server.TLSConfig = config.Clone()
		server.TLSConfig.MinVersion = tls.VersionTLS13
		served <- server.ServeTLS(l, "", "")
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serve collector: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	// Shutdown gives up at the end of the grace; Close then ends the rest.
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	<-served
	return nil
}

func onLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
