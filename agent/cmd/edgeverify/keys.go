package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
	"github.com/edgeverify/edgeverify/firmware/identity"
	"github.com/edgeverify/edgeverify/sync/record"
)

func keysCommand(g *globals) *cobra.Command {
	return group("keys", "Show the device's identity and make it known to a collector", showKeys(g), enrolKeys(g))
}

func (g *globals) identity() (agent.Config, *identity.Keys, error) {
	c, err := g.load()
	if err != nil {
		return c, nil, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return c, nil, err
	}
	keys, err := identity.Open(filepath.Join(c.Data, "keys"))
	return c, keys, err
}

func showKeys(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Print device id, key id and public key, making the keys on first use", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, keys, err := g.identity()
			if err != nil {
				return err
			}
			id, err := record.KeyID(keys.Public())
			if err != nil {
				return err
			}
			pem, err := agent.WritePublicKeys([]ed25519.PublicKey{keys.Public()})
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"tenant": c.Tenant, "device": keys.Device(), "key_id": id, "assurance": keys.Assurance(), "public_key": string(pem),
				})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "tenant     %s\ndevice     %s\nkey id     %s\nassurance  %s\n%s",
				c.Tenant, keys.Device(), id, keys.Assurance(), pem)
			return err
		},
	}
}

func enrolKeys(g *globals) *cobra.Command {
	var claimFile string
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Introduce this device to the collector of the configuration, by a claim token",
		Long: `Introduce this device to the collector that uplink.url names, by a claim token that
the collector was started with, and write the collector's receipt keys to
uplink.collector_keys. Both sides trust on first use.`,
		Args: cobra.NoArgs,
	}
	required(cmd, &claimFile, "claim", "`file` that holds the claim token")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, keys, err := g.identity()
		if err != nil {
			return err
		}
		if c.Uplink.URL == "" {
			return errors.New("uplink.url is not configured")
		}
		claim, err := os.ReadFile(claimFile)
		if err != nil {
			return err
		}
		pem, err := agent.Introduce(cmd.Context(), c, keys, string(bytes.TrimSpace(claim)))
		if err != nil {
			return err
		}
		if err := renameio.WriteFile(c.Uplink.CollectorKeys, pem, 0o644); err != nil {
			return err
		}
		if g.json {
			return printJSON(cmd.OutOrStdout(), map[string]string{"device": keys.Device(), "collector_keys": c.Uplink.CollectorKeys})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "enrolled %s; receipt keys in %s\n", keys.Device(), c.Uplink.CollectorKeys)
		return err
	}
	return cmd
}
