package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/edgeverify/edgeverify/agent"
	"github.com/edgeverify/edgeverify/sync/collector"
)

func collectorCommand(g *globals) *cobra.Command {
	return group("collector", "Run the central endpoint that keeps and acknowledges records",
		collectorServe(g), collectorAdd(g), collectorKeys(g))
}

// place is the flag of every collector command.
func place(cmd *cobra.Command, dir *string) {
	required(cmd, dir, "store", "`folder` of the collector's store and keys")
}

func collectorServe(g *globals) *cobra.Command {
	var dir, listen, certificate, key, clients, claims, token string
	cmd := &cobra.Command{Use: "serve", Short: "Receive records", Args: cobra.NoArgs}
	place(cmd, &dir)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:7391", "`address`; without TLS only loopback")
	cmd.Flags().StringVar(&certificate, "cert", "", "TLS certificate, PEM `file`")
	cmd.Flags().StringVar(&key, "key", "", "TLS key, PEM `file`")
	cmd.Flags().StringVar(&clients, "client-ca", "", "PEM `file` of the authority of devices' certificates: only they may connect")
	cmd.Flags().StringVar(&claims, "claims", "", "`file` of claim tokens of at least 16 bytes, one a line; each enrols one device")
	cmd.Flags().StringVar(&token, "admin-token", "", "`file` with the token that operators show as Authorization: Bearer; without it they must be on this machine")
	cmd.MarkFlagsRequiredTogether("cert", "key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if !cmd.Flags().Changed("log") {
			g.log = "info"
		}
		log, err := g.logger()
		if err != nil {
			return err
		}
		options := collector.Options{Logger: log}
		if options.ClaimTokens, err = readSecrets(claims); err != nil {
			return err
		}
		if token != "" {
			secrets, err := readSecrets(token)
			if err != nil {
				return err
			}
			if len(secrets) != 1 {
				return fmt.Errorf("%s: one token is wanted, on one line", token)
			}
			options.AdminToken = secrets[0]
		}
		secure, err := serverTLS(certificate, key, clients)
		if err != nil {
			return err
		}
		c, err := collector.Open(dir, options)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", listen)
		if err != nil {
			return err
		}
		if at, ok := l.Addr().(*net.TCPAddr); secure == nil && ok && !at.IP.IsLoopback() {
			return errors.Join(fmt.Errorf("--listen %s: only loopback is served without --cert and --key", listen), l.Close())
		}
		log.Info("collector ready", "address", l.Addr().String())
		return serveCollector(cmd.Context(), c, l, secure)
	}
	return cmd
}

// serverTLS is nil without a certificate.
func serverTLS(certificate, key, clients string) (*tls.Config, error) {
	if certificate == "" {
		if clients != "" {
			return nil, errors.New("--client-ca needs --cert and --key")
		}
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	if clients != "" {
		pem, err := os.ReadFile(clients)
		if err != nil {
			return nil, err
		}
		secure.ClientAuth, secure.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !secure.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", clients)
		}
	}
	return secure, nil
}

func serveCollector(ctx context.Context, c *collector.Collector, l net.Listener, secure *tls.Config) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Run(ctx) })
	g.Go(func() error { return c.Serve(ctx, l, secure) })
	return g.Wait()
}

// readSecrets are the lines of a file that hold something.
func readSecrets(path string) ([]collector.Secret, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []collector.Secret
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, collector.Secret(line))
		}
	}
	return lines, nil
}

func collectorAdd(g *globals) *cobra.Command {
	var dir, tenant, device, keyFile string
	cmd := &cobra.Command{
		Use: "add-device", Short: "Register a device's public key; the collector must not run", Args: cobra.NoArgs,
	}
	place(cmd, &dir)
	required(cmd, &tenant, "tenant", "`tenant` of the device")
	required(cmd, &device, "device", "`id` of the device")
	required(cmd, &keyFile, "public-key", "`file` with its public key in PEM")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		text, err := os.ReadFile(keyFile)
		if err != nil {
			return err
		}
		keys, err := agent.ReadPublicKeys(text)
		if err != nil {
			return fmt.Errorf("%s: %w", keyFile, err)
		}
		c, err := collector.Open(dir, collector.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		for _, key := range keys {
			if err := c.AddDevice(tenant, device, key); err != nil {
				return err
			}
		}
		if g.json {
			return printJSON(cmd.OutOrStdout(), map[string]any{"tenant": tenant, "device": device, "keys_added": len(keys)})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "device %s of tenant %s: keys added beside those it had: %d\n", device, tenant, len(keys))
		return err
	}
	return cmd
}

func collectorKeys(g *globals) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "keys", Short: "Print the public keys of receipts, for uplink.collector_keys; the collector must not run", Args: cobra.NoArgs,
	}
	place(cmd, &dir)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("%w: collector serve makes the store", err)
		}
		c, err := collector.Open(dir, collector.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		pem, err := agent.WritePublicKeys(c.PublicKeys())
		if err != nil {
			return err
		}
		if g.json {
			return printJSON(cmd.OutOrStdout(), map[string]string{"public_keys": string(pem)})
		}
		_, err = cmd.OutOrStdout().Write(pem)
		return err
	}
	return cmd
}
