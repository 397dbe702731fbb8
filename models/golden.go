package models

import "math"

// A Golden is a vector that pins what a model computes: an input that anyone can
// generate, and a few of the output's elements. It catches swapped channels, a wrong
// scale and a runtime that computes something else.
type Golden struct {
	Input     string         `json:"input"` // name
	Shape     []int64        `json:"shape"`
	Seed      uint32         `json:"seed"`
	Low       float32        `json:"low"` // elements lie in [Low, High)
	High      float32        `json:"high"`
	Outputs   []GoldenOutput `json:"outputs"`
	Tolerance float64        `json:"tolerance"` // absolute
}

// A GoldenOutput is part of an expected output tensor.
type GoldenOutput struct {
	Name   string    `json:"name"`
	Shape  []int64   `json:"shape"`
	Index  []int     `json:"index"` // into the elements in row-major order
	Values []float64 `json:"values"`
}

// Elements generates the input in row-major order: the linear congruential generator
// x ← 1664525·x + 1013904223 (mod 2³²) from Seed, of which the upper 24 bits of each
// state are scaled to [Low, High).
func (g Golden) Elements() []float32 {
	n := int64(1)
	for _, d := range g.Shape {
		n *= d
	}
	out := make([]float32, n)
	x := g.Seed
	for i := range out {
		x = 1664525*x + 1013904223
		out[i] = g.Low + float32((g.High-g.Low)*(float32(x>>8)/(1<<24)))
	}
	return out
}

// Match reports whether an output tensor agrees with the expectation. A missing element
// or a NaN never does.
func (g Golden) Match(want GoldenOutput, got []float32) bool {
	for i, at := range want.Index {
		if at >= len(got) || !(math.Abs(float64(got[at])-want.Values[i]) <= g.Tolerance) {
			return false
		}
	}
	return len(want.Index) > 0
}

// maxGolden bounds the elements of a generated input.
const maxGolden = 1 << 24

func (g Golden) validate(f *faults, at string) {
	n := int64(1)
	for _, d := range g.Shape {
		if d < 1 || n > maxGolden/d {
			f.check(false, "%s: shape %v", at, g.Shape)
			return
		}
		n *= d
	}
	f.check(g.Input != "" && len(g.Shape) > 0 && g.Low < g.High, "%s: no input, shape or range", at)
	f.check(g.Tolerance > 0, "%s: tolerance %v", at, g.Tolerance)
	f.check(len(g.Outputs) > 0, "%s: no output", at)
	for _, o := range g.Outputs {
		f.check(len(o.Index) > 0 && len(o.Index) == len(o.Values), "%s: output %q has %d indices and %d values", at, o.Name, len(o.Index), len(o.Values))
		for _, i := range o.Index {
			f.check(i >= 0, "%s: output %q has index %d", at, o.Name, i)
		}
	}
}
