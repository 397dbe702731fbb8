// Command demo shows the whole path on this machine, as its user would walk it:
// it starts a collector and the daemon on loopback, has a genuine person, an
// impostor and a printed attack verified through the command line, and shows
// the signed records arriving. Photos come from installed packages, the
// identity card from package specimen; nothing leaves the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	stay := flags.Bool("stay", false, "leave collector and daemon running until interrupted")
	keep := flags.String("keep", "", "`folder` that keeps the composed pictures and the data")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder := *keep
	if folder == "" {
		if folder, err = os.MkdirTemp("", "edgeverify-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	} else if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	pictures, err := compose(ctx, folder)
	if err != nil {
		return err
	}
	site, err := openSite(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	if err := site.show(ctx, pictures); err != nil {
		return err
	}
	if *stay {
		fmt.Printf("\nThe daemon stays: %s --config %s verify --selfie FILE --document-front FILE\nhealth: http://%s/health, records: http://%s/v1/records; interrupt to stop.\n",
			site.program, site.config, site.health, site.collector)
		<-ctx.Done()
	}
	return nil
}
