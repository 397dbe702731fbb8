// Command prepare fills a models folder from installed packages: it takes the files that
// the manifest names, checks their SHA-256, prepares them, checks the result's SHA-256
// and writes NAME.onnx and the runtime library. It needs no network.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/edgeverify/edgeverify/models"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	var s sources
	flags := flag.NewFlagSet("prepare", flag.ContinueOnError)
	flags.StringVar(&s.npm, "npm", "models/node_modules", "`folder` of installed npm packages")
	flags.StringVar(&s.wheels, "wheels", ".cache/wheels", "`folder` of downloaded wheels")
	flags.StringVar(&s.repository, "repository", "models", "`folder` of the models made here")
	out := flags.String("out", ".cache/models", "models `folder` to fill")
	arch := flags.String("arch", runtime.GOARCH, "`processor` of the device, as in GOARCH")
	if err := flags.Parse(args); err != nil {
		return err
	}
	m, err := models.Embedded()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	var errs []error
	for _, e := range m.Models {
		if err := s.model(e, *out); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name, err))
		}
	}
	if err := s.runtime(m.Runtime, "linux/"+*arch, *out); err != nil {
		errs = append(errs, fmt.Errorf("runtime: %w", err))
	}
	return errors.Join(errs...)
}

// write puts a file in place whole or not at all.
func write(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".prepare-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
