package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
)

// globals are the flags of every command.
type globals struct {
	config string
	data   string
	json   bool
	log    string
}

func root() *cobra.Command {
	g := &globals{}
	cmd := &cobra.Command{
		Use:           "edgeverify",
		Short:         "Verify a person's identity on the device, offline",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Long: `Verify a person's identity on the device, offline.

Exit codes: 0 approved or done, 1 rejected, 3 needs review, 2 usage or machinery error.`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&g.config, "config", os.Getenv(agent.ConfigEnv), "configuration `file` (YAML); default: embedded defaults")
	f.StringVar(&g.data, "data", "", "data `folder`; overrides the configuration")
	f.BoolVar(&g.json, "json", false, "print JSON")
	f.StringVar(&g.log, "log", "warn", "least `level` of log lines on stderr: debug, info, warn, error")
	cmd.AddCommand(runCommand(g), verifyCommand(g), enrollCommand(g), outboxCommand(g), modelsCommand(g),
		evalCommand(g), benchCommand(g), collectorCommand(g), keysCommand(g), doctorCommand(g))
	return cmd
}

// load reads the configuration with the command line's overrides.
func (g *globals) load() (agent.Config, error) {
	environ := os.Environ()
	if g.data != "" {
		environ = append(environ, "EDGEVERIFY_DATA="+g.data)
	}
	return agent.LoadConfig(g.config, environ)
}

// logger writes JSON lines to stderr.
func (g *globals) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(g.log)); err != nil {
		return nil, fmt.Errorf("--log: %q is not debug, info, warn or error", g.log)
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

// connect reaches the device: the daemon, or one opened for this command.
func (g *globals) connect(cmd *cobra.Command) (*agent.Client, error) {
	c, err := g.load()
	if err != nil {
		return nil, err
	}
	log, err := g.logger()
	if err != nil {
		return nil, err
	}
	return agent.Connect(cmd.Context(), c, build(), log)
}

// withDevice works on a connected device. What work printed stands, whatever
// closing says; an error of closing is told beside it.
func (g *globals) withDevice(cmd *cobra.Command, work func(*agent.Client) error) error {
	device, err := g.connect(cmd)
	if err != nil {
		return err
	}
	err = work(device)
	if closed := device.Close(); closed != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "edgeverify:", closed)
		if err == nil {
			err = &exitCode{exitError}
		}
	}
	return err
}

// required registers a flag without which the command is a usage error.
func required(cmd *cobra.Command, to *string, name, usage string) {
	cmd.Flags().StringVar(to, name, "", usage)
	if err := cmd.MarkFlagRequired(name); err != nil {
		panic(err) // the flag was registered a line above
	}
}

// printJSON writes value as indented JSON.
func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return fmt.Errorf("%s needs one of: %s", use, strings.Join(names, ", "))
	}}
	cmd.AddCommand(commands...)
	return cmd
}
