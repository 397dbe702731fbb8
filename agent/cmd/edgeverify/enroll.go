package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
)

func enrollCommand(g *globals) *cobra.Command {
	var who person
	var account string
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Keep a person's face as the reference of an account",
		Args:  cobra.NoArgs,
	}
	who.register(cmd)
	required(cmd, &account, "account", "`account` to enrol")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		request := agent.EnrolRequest{Account: account}
		if request.Camera, err = who.source(); err != nil {
			return err
		}
		if request.Selfie, err = readImage(who.selfie); err != nil {
			return err
		}
		return g.withDevice(cmd, func(device *agent.Client) error {
			done, err := device.Enrol(cmd.Context(), request)
			if err != nil {
				return err
			}
			if err := showEnrolment(cmd, g.json, done); err != nil {
				return err
			}
			if !done.Enrolled {
				return &exitCode{exitRejected}
			}
			return nil
		})
	}
	return cmd
}

func showEnrolment(cmd *cobra.Command, asJSON bool, e agent.Enrolment) error {
	w := cmd.OutOrStdout()
	if asJSON {
		return printJSON(w, e)
	}
	word := "ENROLLED"
	if !e.Enrolled {
		word = "NOT ENROLLED"
	}
	_, err := fmt.Fprintf(w, "%s  account %s\n", word, e.Account)
	for _, c := range e.Checks {
		_, printed := fmt.Fprintf(w, "  %-12s %-8s %s\n", c.Name, c.Result, c.Reasoning)
		err = errors.Join(err, printed)
	}
	return err
}
