package main

import (
	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
)

func runCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: admin socket, health page, uplink",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.load()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("log") {
				g.log = "info"
			}
			log, err := g.logger()
			if err != nil {
				return err
			}
			return agent.Run(cmd.Context(), c, build(), log)
		},
	}
}
