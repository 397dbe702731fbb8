package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
	"github.com/edgeverify/edgeverify/agent/measure"
)

// report is what a measurement gives.
type report interface {
	Print(w io.Writer) error
}

// withWorkbench works on what examines and judges, without a data folder.
func (g *globals) withWorkbench(work func(*agent.Workbench) error) (err error) {
	c, err := g.load()
	if err != nil {
		return err
	}
	w, err := agent.OpenWorkbench(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return work(w)
}

// measured runs a measurement on a workbench and prints its report.
func measured(g *globals, do func(cmd *cobra.Command, w *agent.Workbench, progress func(done, total int)) (report, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return g.withWorkbench(func(w *agent.Workbench) error {
			r, err := do(cmd, w, progressTo(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return r.Print(cmd.OutOrStdout())
		})
	}
}

// progressTo rewrites one line of a terminal, once for each per cent; into
// anything else it writes a line for each tenth.
func progressTo(w io.Writer) func(done, total int) {
	begin, end, step := "", "\n", 10
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			begin, end, step = "\r", "\033[K", 1
		}
	}
	shown := -1
	return func(done, total int) {
		part := 100 * done / max(total, 1) / step
		if part == shown {
			return
		}
		shown = part
		fmt.Fprintf(w, "%s%d of %d%s", begin, done, total, end)
		if done == total && begin != "" {
			fmt.Fprint(w, begin, end)
		}
	}
}

func evalCommand(g *globals) *cobra.Command {
	return group("eval", "Measure accuracy on labelled pictures", evalFaces(g), evalPAD(g))
}

func evalFaces(g *globals) *cobra.Command {
	var pairs string
	cmd := &cobra.Command{Use: "faces", Short: "Error rates of face comparisons", Args: cobra.NoArgs}
	required(cmd, &pairs, "pairs", "CSV `file` with the columns same (1, 0), file_a, file_b and optionally cohort; files relative to its folder")
	cmd.RunE = measured(g, func(cmd *cobra.Command, w *agent.Workbench, progress func(done, total int)) (report, error) {
		encoder, point, err := w.FaceOperatingPoint()
		if err != nil {
			return nil, err
		}
		return measure.Faces(cmd.Context(), w.Examiner, encoder, point, pairs, measure.FacesOptions{Progress: progress})
	})
	return cmd
}

func evalPAD(g *globals) *cobra.Command {
	var labels string
	var items bool
	cmd := &cobra.Command{Use: "pad", Short: "Error rates of presentation attack detection", Args: cobra.NoArgs}
	required(cmd, &labels, "labels", "CSV `file` with the columns file, label (live, spoof, live_digital, multi_face), attack (the species) and optionally subject; files relative to its folder")
	cmd.Flags().BoolVar(&items, "items", false, "list every item as well")
	cmd.RunE = measured(g, func(cmd *cobra.Command, w *agent.Workbench, progress func(done, total int)) (report, error) {
		return measure.PAD(cmd.Context(), w.Examiner, w.Judge, labels, measure.PADOptions{Items: items, Progress: progress})
	})
	return cmd
}

func benchCommand(g *globals) *cobra.Command {
	var selfie string
	var runs int
	var ready bool
	cmd := &cobra.Command{Use: "bench", Short: "Time every stage, whole verifications and the start on this machine", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&selfie, "selfie", "", "image `file` with a face to work on; default: a drawn one")
	cmd.Flags().IntVar(&runs, "runs", 100, "`runs` of each part")
	cmd.Flags().BoolVar(&ready, "ready", false, "start, examine one drawn face, say so and end")
	if err := cmd.Flags().MarkHidden("ready"); err != nil {
		panic(err) // the flag was registered a line above
	}
	whole := measured(g, func(cmd *cobra.Command, w *agent.Workbench, progress func(done, total int)) (report, error) {
		if runs < 1 {
			return nil, fmt.Errorf("--runs %d: at least one is wanted", runs)
		}
		image, err := readImage(selfie)
		if err != nil {
			return nil, err
		}
		return measure.Bench(cmd.Context(), w.Engine, w.Examiner, w.Judge, measure.BenchOptions{
			Runs: runs, Selfie: image, Progress: progress, Launch: launcher(g),
		})
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !ready {
			return whole(cmd, args)
		}
		return g.withWorkbench(func(w *agent.Workbench) error {
			return measure.Ready(cmd.Context(), w.Examiner, cmd.OutOrStdout())
		})
	}
	return cmd
}

// launcher starts this program afresh.
func launcher(g *globals) func(context.Context) (measure.Startup, error) {
	return func(ctx context.Context) (measure.Startup, error) {
		own, err := os.Executable()
		if err != nil {
			return measure.Startup{}, err
		}
		return measure.Launch(exec.CommandContext(ctx, own, "--config", g.config, "bench", "--ready"))
	}
}
