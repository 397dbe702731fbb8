package models

import (
	"fmt"
	"slices"
	"strings"
)

// Metrics of operating points.
const (
	FMR            = "fmr"              // false match rate, pooled over same-cohort impostors
	FMREveryCohort = "fmr_every_cohort" // false match rate of the worst cohort of at least 1,000 impostors
	Natural        = "natural"          // the network's own boundary; no rate was chosen
)

// An OperatingPoint is a threshold with the error rate that it was measured at.
type OperatingPoint struct {
	ID         string  `json:"id"`
	Metric     string  `json:"metric"` // one of the metrics above
	Rate       float64 `json:"rate"`   // 0 for Natural
	Threshold  float64 `json:"threshold"`
	MeasuredOn string  `json:"measured_on"`
	N          int     `json:"n"` // comparisons or presentations
}

// Pass reports whether a score lies strictly above the threshold. Neither a NaN nor the
// zero OperatingPoint ever passes.
func (p OperatingPoint) Pass(score float64) bool {
	return p.ID != "" && score > p.Threshold
}

// An UnmeasuredError says that no operating point exists at a rate, and which do.
type UnmeasuredError struct {
	Model    string
	Metric   string
	Rate     float64
	Measured []float64 // in rising order
}

func (e *UnmeasuredError) Error() string {
	if len(e.Measured) == 0 {
		return fmt.Sprintf("model %s: no operating point for %s", e.Model, e.Metric)
	}
	rates := make([]string, len(e.Measured))
	for i, r := range e.Measured {
		rates[i] = fmt.Sprintf("%g", r)
	}
	return fmt.Sprintf("model %s: %s %g was not measured; measured are %s",
		e.Model, e.Metric, e.Rate, strings.Join(rates, ", "))
}

// OperatingPoint returns the point measured at exactly this rate, or an
// [*UnmeasuredError] that names the rates there are. Nothing is interpolated: a rate
// between two measured ones is a guess.
func (e Entry) OperatingPoint(metric string, rate float64) (OperatingPoint, error) {
	var measured []float64
	for _, p := range e.OperatingPoints {
		if p.Metric != metric {
			continue
		}
		if p.Rate == rate {
			return p, nil
		}
		measured = append(measured, p.Rate)
	}
	slices.Sort(measured)
	return OperatingPoint{}, &UnmeasuredError{e.Name, metric, rate, measured}
}
