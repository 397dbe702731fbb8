package measure

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/edgeverify/edgeverify/models"
)

// falling is n scores n, n−1 … 1.
func falling(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = float64(n - i)
	}
	return s
}

func TestThresholdIsTheNextHighestImpostorAndPassesStrictlyAbove(t *testing.T) {
	for _, c := range []struct {
		name      string
		impostors []float64
		oneIn     int
		want      float64
		pass      int
	}{
		{"1 in 1,000 of 4,920 lets four pass", falling(4920), 1000, 4916, 4},
		{"1 in 100 of 4,920 lets 49 pass", falling(4920), 100, 4871, 49},
		{"1 in 1,000 of 300 lets none pass", falling(300), 1000, 300, 0},
		{"exactly one of 1,000", falling(1000), 1000, 999, 1},
		{"one short of 1,000", falling(999), 1000, 999, 0},
		{"1 in 100 of 700 is seven, not six by rounding", falling(700), 100, 693, 7},
		{"a tie at the threshold lets fewer pass, never more", []float64{9, 5, 5, 5}, 2, 5, 1},
		{"all equal", []float64{5, 5, 5, 5}, 2, 5, 0},
		{"the only impostor does not pass", []float64{7}, 1, 7, 0},
		{"unsorted", []float64{1, 3, 2}, 3, 2, 1},
	} {
		got := thresholdAt(c.impostors, c.oneIn)
		if n := above(c.impostors, got); got != c.want || n != c.pass {
			t.Errorf("%s: thresholdAt(1 in %d): got %v with %d above, want %v with %d", c.name, c.oneIn, got, n, c.want, c.pass)
		}
	}
}

func TestWithoutImpostorsNoThresholdIsKnown(t *testing.T) {
	if got := thresholdAt(nil, 100); !math.IsNaN(got) {
		t.Errorf("thresholdAt(nil): got %v, want NaN", got)
	}
	r := tally([]pair{{same: true, score: 0.9}}, models.OperatingPoint{ID: "x", Threshold: 0.5})
	if r.FNMRAtFMR["0.01"].known() || r.AtOperatingPoint.FMR.known() || r.AUC.known() {
		t.Errorf("tally of one genuine pair: got FNMR %v, FMR %v, AUC %v, want none of them", r.FNMRAtFMR["0.01"], r.AtOperatingPoint.FMR, r.AUC)
	}
	if r.AtOperatingPoint.FNMR != 0 || r.Accuracy != 1 {
		t.Errorf("tally of one genuine pair: got FNMR %v, accuracy %v, want 0 and 1", r.AtOperatingPoint.FNMR, r.Accuracy)
	}
}

func TestBestThresholdSeparatesWhatCanBeSeparated(t *testing.T) {
	for _, c := range []struct {
		name               string
		genuine, impostors []float64
		right              int
		low, high          float64 // the threshold lies within
	}{
		{"apart: the middle of the gap", []float64{0.8, 0.9}, []float64{0.1, 0.2}, 4, 0.5, 0.5},
		{"one impostor above", []float64{0.8, 0.9}, []float64{0.1, 0.85}, 3, 0.1, 0.8},
		{"a tie is not separated", []float64{0.5}, []float64{0.5}, 1, math.Inf(-1), 0.5},
		{"impostors only", nil, []float64{0.3, 0.4}, 2, 0.4, 0.4},
		{"genuine only", []float64{0.3, 0.4}, nil, 2, 0.2, 0.3},
	} {
		right, threshold := best(c.genuine, c.impostors)
		counted := above(c.genuine, threshold) + len(c.impostors) - above(c.impostors, threshold)
		if right != c.right || counted != right || threshold < c.low || threshold > c.high {
			t.Errorf("%s: got %d right at %v where %d are, want %d between %v and %v", c.name, right, threshold, counted, c.right, c.low, c.high)
		}
	}
}

func TestAUCCountsTiesHalf(t *testing.T) {
	for _, c := range []struct {
		positive, negative []float64
		want               Rate
	}{
		{[]float64{2, 3}, []float64{0, 1}, 1},
		{[]float64{0, 1}, []float64{2, 3}, 0},
		{[]float64{1}, []float64{1}, 0.5},
		{[]float64{1, 3}, []float64{2, 2}, 0.5},
		{[]float64{2, 3, 1}, []float64{2, 0}, 4.5 / 6},
		{[]float64{math.Inf(-1), 1}, []float64{0}, 0.5},
	} {
		if got := auc(c.positive, c.negative); math.Abs(float64(got-c.want)) > 1e-12 {
			t.Errorf("auc(%v, %v): got %v, want %v", c.positive, c.negative, got, c.want)
		}
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, c := range []struct {
		values []int
		p      float64
		want   int
	}{{hundred, 0.5, 50}, {hundred, 0.95, 95}, {hundred, 1, 100}, {[]int{7}, 0.5, 7}, {nil, 0.5, 0}, {[]int{1, 2}, 0.5, 1}} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile(%d values, %v): got %v, want %v", len(c.values), c.p, got, c.want)
		}
	}
}

func TestARateOfNothingIsNull(t *testing.T) {
	got, err := json.Marshal([]Rate{share(0, 0), share(1, 4), Rate(math.Inf(1))})
	if err != nil || string(got) != "[null,0.25,null]" {
		t.Errorf("Marshal: got %s, %v, want [null,0.25,null]", got, err)
	}
	var back []Rate
	if err := json.Unmarshal(got, &back); err != nil || back[0].known() || back[1] != 0.25 {
		t.Errorf("Unmarshal(%s): got %v, %v", got, back, err)
	}
}

func TestFramesArePickedEvenly(t *testing.T) {
	for _, c := range []struct {
		total, n int
		want     []int
	}{{14, 7, []int{1, 3, 5, 7, 9, 11, 13}}, {3, 7, []int{0, 1, 2}}, {70, 2, []int{17, 52}}, {1, 7, []int{0}}} {
		got := evenly(c.total, c.n)
		for i := range max(len(got), len(c.want)) {
			if len(got) != len(c.want) || got[i] != c.want[i] {
				t.Errorf("evenly(%d, %d): got %v, want %v", c.total, c.n, got, c.want)
				break
			}
		}
	}
}
