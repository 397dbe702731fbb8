package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgeverify/edgeverify/agent"
	"github.com/edgeverify/edgeverify/agent/verify"
)

// person are the flags that say where the person is.
type person struct{ selfie, camera string }

func (p *person) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.selfie, "selfie", "", "picture of the person, JPEG or PNG `file`")
	cmd.Flags().StringVar(&p.camera, "camera", "", "`source` of frames instead: configured, camera:0, /dev/video0, a video file, rtsp://…, gst:…")
	cmd.MarkFlagsOneRequired("selfie", "camera")
	cmd.MarkFlagsMutuallyExclusive("selfie", "camera")
}

// source makes a relative path mean the same to a daemon elsewhere.
func (p *person) source() (string, error) {
	if p.camera == "" || p.camera == agent.ConfiguredCamera {
		return p.camera, nil
	}
	if _, err := os.Stat(p.camera); err == nil {
		return filepath.Abs(p.camera)
	}
	return p.camera, nil
}

func verifyCommand(g *globals) *cobra.Command {
	var (
		who                  person
		front, back, account string
		country, class       string
		checks               []string
	)
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify a person against a document or an enrolled account",
		Example: `  edgeverify verify --selfie me.jpg --document-front card.jpg
  edgeverify verify --camera camera:0 --account 4711 --checks face_match,liveness --json`,
		Args: cobra.NoArgs,
	}
	who.register(cmd)
	f := cmd.Flags()
	f.StringVar(&front, "document-front", "", "front of the document, JPEG or PNG `file`")
	f.StringVar(&back, "document-back", "", "back of the document, JPEG or PNG `file`")
	f.StringVar(&account, "account", "", "compare with the reference of this `account` instead of a document")
	f.StringVar(&country, "country", "", "issuing `country` of the document, two or three letters of ISO 3166-1")
	f.StringVar(&class, "document-type", "", "announced document `class`, such as id_card or passport")
	f.StringSliceVar(&checks, "checks", nil, "`checks` to run beside those of the policy; default: all that this device can")
	cmd.MarkFlagsMutuallyExclusive("document-front", "account")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		request := agent.VerifyRequest{Country: country, DocumentType: class, Account: account}
		if f.Changed("checks") {
			request.Checks = append([]string{}, checks...)
		}
		var err error
		if request.Camera, err = who.source(); err != nil {
			return err
		}
		for _, file := range []struct {
			path string
			to   *[]byte
		}{{who.selfie, &request.Selfie}, {front, &request.DocumentFront}, {back, &request.DocumentBack}} {
			if *file.to, err = readImage(file.path); err != nil {
				return err
			}
		}
		return g.withDevice(cmd, func(device *agent.Client) error {
			if request.Camera != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "looking …") // its address may hold a password
			}
			v, err := device.Verify(cmd.Context(), request)
			if err != nil {
				return err
			}
			if err := show(cmd.OutOrStdout(), g.json, v); err != nil {
				return err
			}
			return outcome(v.Status)
		})
	}
	return cmd
}

// maxImage is read of an image file; the device refuses 10 MB and more by name.
const maxImage = 10<<20 + 1

func readImage(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxImage))
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("%s: image refused: the file is empty", path)
	}
	return data, err
}

// outcome is the exit code of a status.
func outcome(s verify.Status) error {
	switch s {
	case verify.Approved:
		return nil
	case verify.Rejected:
		return &exitCode{exitRejected}
	case verify.DoubleCheck:
		return &exitCode{exitReview}
	}
	return &exitCode{exitError}
}

// show prints a verification for a person, or as JSON.
func show(w io.Writer, asJSON bool, v verify.Verification) error {
	if asJSON {
		return printJSON(w, v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  verdict %s  confidence %d  %s\n", strings.ToUpper(string(v.Status)), v.Verdict, v.Confidence, finality(v.Final))
	fmt.Fprintf(&b, "%s\n", v.Reasoning)
	for _, c := range v.Checks {
		fmt.Fprintf(&b, "  %-12s %-8s band %d  %6.1f ms  %s\n", c.Name, c.Result, c.Band, float64(c.Duration.Microseconds())/1000, c.Reasoning)
	}
	if v.Assurance != verify.NoLiveness {
		fmt.Fprintf(&b, "  assurance    %s, %s\n", v.Assurance, v.Attestation)
	}
	fmt.Fprintf(&b, "  id           %s\n", v.ID)
	_, err := io.WriteString(w, b.String())
	return err
}

func finality(final bool) string {
	if final {
		return "final"
	}
	return "provisional until the centre has seen it"
}
