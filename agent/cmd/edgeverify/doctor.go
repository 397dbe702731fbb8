package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
)

func doctorCommand(g *globals) *cobra.Command {
	confirm := false
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check every part of this device and say what to do", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.load()
			if err != nil {
				return err
			}
			if confirm {
				if err := g.withDevice(cmd, func(d *agent.Client) error { return d.ConfirmClock(cmd.Context()) }); err != nil {
					return err
				}
			}
			fine, findings := true, []agent.Finding{}
			for f := range agent.Doctor(cmd.Context(), c, build()) {
				fine, findings = fine && f.Fine, append(findings, f)
				if !g.json {
					printFinding(cmd, f)
				}
			}
			if g.json {
				if err := printJSON(cmd.OutOrStdout(), findings); err != nil {
					return err
				}
			}
			if !fine {
				return &exitCode{exitError}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&confirm, "confirm-clock", false, "first confirm that the device's clock is right; the centre is told")
	return cmd
}

func printFinding(cmd *cobra.Command, f agent.Finding) {
	word := "ok  "
	if !f.Fine {
		word = "FAIL"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s  %-12s %s\n", word, f.Part, f.Detail)
	if f.Advice != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "      %-12s → %s\n", "", f.Advice)
	}
}
