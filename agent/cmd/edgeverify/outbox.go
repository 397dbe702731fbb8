package main

import (
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
)

func outboxCommand(g *globals) *cobra.Command {
	return group("outbox", "Look at the records that wait for the collector",
		outboxTask(g, "ls", "List queued and quarantined records", cobra.NoArgs, listOutbox),
		outboxTask(g, "show SEQ", "Show one record as it is signed", cobra.ExactArgs(1), showOutbox),
		outboxTask(g, "retry SEQ", "Take a record out of quarantine", cobra.ExactArgs(1), retryOutbox),
		outboxTask(g, "stats", "Count records and bytes", cobra.NoArgs, countOutbox),
	)
}

// task works on the outbox of a connected device.
type task func(cmd *cobra.Command, g *globals, device *agent.Client, args []string) error

func outboxTask(g *globals, use, short string, args cobra.PositionalArgs, do task) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		c, err := g.load()
		if err != nil {
			return err
		}
		if _, err := os.Stat(c.Data); err != nil {
			return fmt.Errorf("data folder: %w", err) // looking makes none
		}
		return g.withDevice(cmd, func(device *agent.Client) error { return do(cmd, g, device, args) })
	}}
}

func listOutbox(cmd *cobra.Command, g *globals, device *agent.Client, _ []string) error {
	entries := []agent.OutboxEntry{}
	for after := uint64(0); ; {
		page, err := device.OutboxList(cmd.Context(), after)
		if err != nil {
			return err
		}
		entries = append(entries, page...)
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Seq
	}
	if g.json {
		return printJSON(cmd.OutOrStdout(), entries)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EPOCH\tSEQ\tKIND\tBYTES\tATTEMPTS\tQUARANTINE\tRID")
	for _, e := range entries {
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%d\t%s\t%s\n", e.Epoch, e.Seq, e.Kind, e.Bytes, e.Attempts, e.Quarantine, e.RID)
	}
	return w.Flush()
}

func showOutbox(cmd *cobra.Command, _ *globals, device *agent.Client, args []string) error {
	seq, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no sequence number", args[0])
	}
	shown, err := device.OutboxShow(cmd.Context(), seq)
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), shown)
}

func retryOutbox(cmd *cobra.Command, g *globals, device *agent.Client, args []string) error {
	seq, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no sequence number", args[0])
	}
	if err := device.OutboxRetry(cmd.Context(), seq); err != nil {
		return err
	}
	if g.json {
		return printJSON(cmd.OutOrStdout(), map[string]any{"seq": seq, "queued": true})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "record %d is in the queue again\n", seq)
	return err
}

func countOutbox(cmd *cobra.Command, g *globals, device *agent.Client, _ []string) error {
	s, err := device.OutboxStats(cmd.Context())
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(cmd.OutOrStdout(), s)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "queued %d, quarantined %d, waiting in the vault %d; epoch %d, next seq %d; %d of %d KiB in use\n",
		s.Queued, s.Quarantined, s.Pending, s.Epoch, s.NextSeq, s.UsedBytes>>10, s.QuotaBytes>>10)
	return err
}
