package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/models"
)

func modelsCommand(g *globals) *cobra.Command {
	return group("models", "List and verify the models of this device",
		&cobra.Command{Use: "ls", Short: "List the models of the manifest", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return listModels(cmd, g)
		}},
		&cobra.Command{Use: "verify", Short: "Check every model and the runtime against the manifest", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return verifyModels(cmd, g)
		}},
	)
}

func (g *globals) store() (*models.Store, error) {
	c, err := g.load()
	if err != nil {
		return nil, err
	}
	return models.Open(c.Models)
}

func listModels(cmd *cobra.Command, g *globals) error {
	store, err := g.store()
	if err != nil {
		return err
	}
	manifest := store.Manifest()
	if g.json {
		return printJSON(cmd.OutOrStdout(), manifest)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVERSION\tLICENCE\tSOURCE\tSHA-256\tOPERATING POINTS")
	for _, m := range manifest.Models {
		points := ""
		for _, p := range m.OperatingPoints {
			points += fmt.Sprintf("%s %g at %g  ", p.Metric, p.Rate, p.Threshold)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s %s\t%s…\t%s\n", m.Name, m.Version, m.Licence, m.Source.Name, m.Source.Version, m.SHA256[:12], points)
	}
	return w.Flush()
}

// modelState is one line of `models verify`.
type modelState struct {
	Name  string `json:"name"`
	Valid bool   `json:"valid"`
	Error string `json:"error,omitempty"`
}

func verifyModels(cmd *cobra.Command, g *globals) error {
	store, err := g.store()
	if err != nil {
		return err
	}
	var states []modelState
	var errs []error
	note := func(name string, err error) {
		s := modelState{Name: name, Valid: err == nil}
		if err != nil {
			s.Error = err.Error()
		}
		states, errs = append(states, s), append(errs, err)
	}
	for _, m := range store.Manifest().Models {
		_, err := store.Load(m.Name)
		note(m.Name, err)
	}
	_, err = store.Runtime()
	note("runtime", err)
	if g.json {
		if err := printJSON(cmd.OutOrStdout(), states); err != nil {
			return err
		}
	} else {
		for _, s := range states {
			word := "ok"
			if !s.Valid {
				word = "REFUSED"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%-8s %s\n", word, s.Name)
		}
	}
	return errors.Join(errs...)
}
