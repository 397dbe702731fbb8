package measure

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Rate is a share or a ratio that may have no value, because nothing was
// counted: then it is NaN, and null in JSON. No limit holds for it.
type Rate float64

// MarshalJSON writes null where there is no value.
func (r Rate) MarshalJSON() ([]byte, error) {
	if !r.known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(r))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Rate) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*r = none()
		return nil
	}
	return json.Unmarshal(data, (*float64)(r))
}

func (r Rate) known() bool { return !math.IsNaN(float64(r)) && !math.IsInf(float64(r), 0) }

// percent is a rate as people read it.
func (r Rate) percent() string {
	if !r.known() {
		return "–"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(r))
}

func (r Rate) String() string {
	if !r.known() {
		return "–"
	}
	return fmt.Sprintf("%.3f", float64(r))
}

func none() Rate { return Rate(math.NaN()) }

// share is part of whole; nothing of nothing has no value.
func share(part, whole int) Rate {
	if whole == 0 {
		return none()
	}
	return Rate(float64(part) / float64(whole))
}

// thresholdAt is the threshold at a false match rate of 1 in oneIn: the score of
// the (⌊n/oneIn⌋+1)-th highest of n impostors. Strictly above it pass at most
// ⌊n/oneIn⌋ of them, ties included. Without an impostor no threshold is known,
// and NaN, which nothing passes, is given.
func thresholdAt(impostors []float64, oneIn int) float64 {
	if len(impostors) == 0 {
		return math.NaN()
	}
	falling := slices.SortedFunc(slices.Values(impostors), func(a, b float64) int { return cmp.Compare(b, a) })
	return falling[min(len(falling)/oneIn, len(falling)-1)]
}

// above counts the scores strictly above a threshold.
func above(scores []float64, threshold float64) int {
	n := 0
	for _, s := range scores {
		if s > threshold {
			n++
		}
	}
	return n
}

// best is the threshold at which most scores lie on their side, strictly above
// for genuine ones, and how many do. Of several it is the one in the middle of
// the widest gap between scores, so that it does not hang on one pair.
func best(genuine, impostors []float64) (right int, threshold float64) {
	type scored struct {
		score   float64
		genuine bool
	}
	var all []scored
	for _, s := range genuine {
		all = append(all, scored{s, true})
	}
	for _, s := range impostors {
		all = append(all, scored{s, false})
	}
	if len(all) == 0 {
		return 0, math.NaN()
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	// Below all scores everything passes; each step up takes one score along.
	now, gap := len(genuine), 0.0
	right, threshold = now, math.Nextafter(all[0].score, math.Inf(-1))
	for i, s := range all {
		if s.genuine {
			now--
		} else {
			now++
		}
		if i+1 < len(all) && all[i+1].score == s.score {
			continue // a tie: no threshold separates it
		}
		next := s.score
		if i+1 < len(all) {
			next = all[i+1].score
		}
		if now > right || now == right && next-s.score > gap {
			right, gap = now, next-s.score
			threshold = s.score + gap/2
		}
	}
	return right, threshold
}

// auc is the area under the receiver operating characteristic: the share of
// pairs of one positive and one negative in which the positive scores higher,
// ties counting half (Mann–Whitney).
func auc(positive, negative []float64) Rate {
	if len(positive) == 0 || len(negative) == 0 {
		return none()
	}
	rising := slices.Sorted(slices.Values(negative))
	var wins float64
	for _, s := range positive {
		below, _ := slices.BinarySearch(rising, s)
		upTo, _ := slices.BinarySearch(rising, math.Nextafter(s, math.Inf(1)))
		wins += float64(below) + float64(upTo-below)/2
	}
	return Rate(wins / float64(len(positive)) / float64(len(negative)))
}

// percentile is the smallest value that at least the share p of the values do
// not exceed (nearest rank).
func percentile[T cmp.Ordered](values []T, p float64) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	rising := slices.Sorted(slices.Values(values))
	return rising[min(max(int(math.Ceil(p*float64(len(rising))))-1, 0), len(rising)-1)]
}
