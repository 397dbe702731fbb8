package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// outcome is what `edgeverify verify --json` prints, as far as it is shown here.
type outcome struct {
	ID         string `json:"id"`
	Status     string `json:"status"`
	Verdict    string `json:"verdict"`
	Confidence int    `json:"confidence"`
	Reasoning  string `json:"reasoning"`
	Assurance  string `json:"assurance"`
	Checks     []struct {
		Name      string   `json:"name"`
		Result    string   `json:"result"`
		Reasoning string   `json:"reasoning"`
		MS        float64  `json:"duration_ms"`
		Reasons   []string `json:"reasons"`
	} `json:"checks"`
	Timings map[string]float64 `json:"timings_ms"`
}

// records is what the collector lists.
type records struct {
	Records []struct {
		Epoch   uint32 `json:"epoch"`
		Seq     uint64 `json:"seq"`
		Kind    string `json:"kind"`
		SHA256  string `json:"sha256"`
		Summary struct {
			Verification string `json:"verification"`
			Status       string `json:"status"`
			Decision     string `json:"decision"`
		} `json:"summary"`
	} `json:"records"`
}

// show has three people verified and follows their records to the collector.
func (s *site) show(ctx context.Context, p pictures) error {
	wrong := 0
	var ids []string
	for _, person := range []struct {
		title, selfie string
		expected      string
		otherwise     string
	}{
		{"A genuine person: the holder of the specimen card, in another photo", p.genuine, "approved",
			"the genuine person was not approved"},
		{"An impostor: somebody else with the same card", p.impostor, "rejected",
			"THE IMPOSTOR WAS NOT REJECTED"},
		{"A printed attack: a print of the holder, held before the camera", p.print, "rejected",
			"THE PRINTED ATTACK GOT THROUGH: the liveness check does not see this print"},
	} {
		fmt.Printf("\n%s\n", person.title)
		fmt.Printf("  edgeverify verify --selfie %s --document-front %s --document-back %s\n",
			filepath.Base(person.selfie), filepath.Base(p.front), filepath.Base(p.back))
		o, err := s.verify(ctx, person.selfie, p)
		if err != nil {
			return err
		}
		o.print()
		ids = append(ids, o.ID)
		if o.Status != person.expected {
			wrong++
			fmt.Printf("  !! %s\n", person.otherwise)
		}
	}
	if err := s.arrivals(ctx, ids); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of 3 outcomes are not what they should be", wrong)
	}
	return nil
}

// verify runs the command as its user would. Exit codes 1 and 3 are outcomes.
func (s *site) verify(ctx context.Context, selfie string, p pictures) (outcome, error) {
	var o outcome
	out, err := s.command(ctx, "verify", "--json", "--selfie", selfie, "--document-front", p.front, "--document-back", p.back).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 && exit.ExitCode() != 3) {
		if exit != nil {
			return o, fmt.Errorf("verify: %w: %s", err, exit.Stderr)
		}
		return o, fmt.Errorf("verify: %w", err)
	}
	return o, json.Unmarshal(out, &o)
}

func (o outcome) print() {
	fmt.Printf("  %s, verdict %s, confidence %d", o.Status, o.Verdict, o.Confidence)
	if o.Assurance != "" {
		fmt.Printf(", assurance %s", o.Assurance)
	}
	fmt.Printf(", %.0f ms\n", o.Timings["total"])
	for _, c := range o.Checks {
		fmt.Printf("    %-11s %-8s %s\n", c.Name, c.Result, c.Reasoning)
	}
}

// arrivals waits until the collector has a record of every verification.
func (s *site) arrivals(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var arrived records
		if err := get(ctx, "http://"+s.collector+"/v1/records", &arrived); err != nil {
			return err
		}
		if arrived.cover(ids) {
			fmt.Printf("\nAt the collector, signed, in order, each acknowledged by a signed receipt:\n")
			for _, r := range arrived.Records {
				fmt.Printf("  epoch %d seq %d  %s  %-12s %-9s sha256 %s…\n", r.Epoch, r.Seq, r.Kind, r.Summary.Status, r.Summary.Decision, r.SHA256[:16])
			}
			return s.emptied(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records at the collector, want those of all %d verifications: %w", len(arrived.Records), len(ids), ctx.Err())
		case <-tick.C:
		}
	}
}

func (r records) cover(ids []string) bool {
	seen := map[string]bool{}
	for _, one := range r.Records {
		seen[one.Summary.Verification] = true
	}
	for _, id := range ids {
		if !seen[id] {
			return false
		}
	}
	return true
}

// emptied waits until the device has deleted what the collector acknowledged.
func (s *site) emptied(ctx context.Context) error {
	var stats struct {
		Queued int `json:"queued"`
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := s.command(ctx, "outbox", "stats", "--json").Output()
		if err != nil {
			return fmt.Errorf("outbox stats: %w", err)
		}
		if err := json.Unmarshal(out, &stats); err != nil {
			return err
		}
		if stats.Queued == 0 {
			fmt.Println("The device's outbox is empty again.")
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records still wait on the device: %w", stats.Queued, ctx.Err())
		case <-tick.C:
		}
	}
}
