package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/edgeverify/edgeverify/sync/https"
	"github.com/edgeverify/edgeverify/sync/uplink"
)

// Run is the daemon: it serves the device on the admin socket, reports health
// on loopback, and drains the outbox while a collector is configured. It
// returns nil within two seconds of ctx's end.
func Run(ctx context.Context, c Config, build Build, log *slog.Logger) (err error) {
	d, err := Open(ctx, c, build, log)
	if err != nil {
		return endedBy(ctx, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.work.Warm(); err != nil {
		return err
	}
	var link *uplink.Uplink
	if c.Uplink.URL != "" {
		if link, err = d.uplink(c.Uplink); err != nil {
			return err
		}
		d.link.Store(link)
	}
	socket, err := listenAdmin(c.Data)
	if err != nil {
		return err
	}
	var page net.Listener
	if c.Health != "" {
		if page, err = net.Listen("tcp", c.Health); err != nil {
			return errors.Join(fmt.Errorf("health: %w", err), socket.Close())
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serve(ctx, socket, d.admin(), stopWithin) })
	if page != nil {
		g.Go(func() error { return serve(ctx, page, d.healthPage(), stopWithin) })
	}
	if link != nil {
		g.Go(func() error { return link.Run(ctx) })
	}
	g.Go(func() error { return d.recover(ctx) })
	g.Go(func() error { d.notify(ctx); return nil })
	log.Info("ready", "device", d.keys.Device(), "version", build.Version)
	return g.Wait()
}

// endedBy forgives what came of being told to stop.
func endedBy(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// healthPage is all that anybody on this machine may see.
func (d *Device) healthPage() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", answer(func(r *http.Request) (any, error) { return d.Health(r.Context()), nil }))
	return d.counted(mux)
}

// recoverEvery is how often outcomes that the outbox refused are tried again.
const recoverEvery = 5 * time.Second

// compactEvery is how often the outbox may give back what it no longer needs;
// it does so only where that is worth it.
const compactEvery = 10 * time.Minute

// recover brings the device back into service without a restart once the
// outbox has room again, and keeps the outbox small.
func (d *Device) recover(ctx context.Context) error {
	again, compact := time.NewTicker(recoverEvery), time.NewTicker(compactEvery)
	defer again.Stop()
	defer compact.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			d.tryAgain(ctx)
		case <-compact.C:
			if done, err := d.outbox.Compact(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("outbox not compacted", "error", err)
			} else if done {
				d.log.Info("outbox compacted")
			}
		}
	}
}

// notify tells systemd, where it is there, that the device is ready, and feeds
// its watchdog for as long as the outbox answers.
func (d *Device) notify(ctx context.Context) {
	d.tell(daemon.SdNotifyReady)
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("watchdog", "error", err)
	}
	if interval == 0 {
		<-ctx.Done()
	} else {
		d.feed(ctx, interval/2)
	}
	d.tell(daemon.SdNotifyStopping)
}

// tell says something to systemd; not being heard is no reason to end.
func (d *Device) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("systemd does not listen", "error", err)
	}
}

func (d *Device) feed(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := d.outbox.Stats(ctx); err == nil {
				d.tell(daemon.SdNotifyWatchdog)
			}
		}
	}
}

// uplink makes the way to the collector.
func (d *Device) uplink(c UplinkConfig) (*uplink.Uplink, error) {
	keys, err := readCollectorKeys(c.CollectorKeys)
	if err != nil {
		return nil, err
	}
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	client, err := https.New(https.Config{
		URL: c.URL, TLS: secure, CollectorKeys: keys, Tenant: d.config.Tenant, Device: d.keys.Device(),
		Confirm: d.clock.Confirm, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	return uplink.New(d.outbox, client, uplink.Options{Spread: c.Spread, Logger: d.log}), nil
}

// tls trusts the configured authority alone where one is named.
func (c UplinkConfig) tls() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS13}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("uplink.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("uplink.ca: %s holds no certificate in PEM", c.CA)
		}
	}
	if c.Certificate != "" {
		if _, err := tls.LoadX509KeyPair(c.Certificate, c.Key); err != nil {
			return nil, fmt.Errorf("uplink.certificate: %w", err)
		}
		// Read anew for each connection, so that a renewed certificate serves at once.
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
			return &pair, err
		}
	}
	return out, nil
}
