package verify

// A Band is all that remains of a score outside the judge: 0 to 7, with
// operating points as edges. Fine scores would let their reader rebuild a face
// template (10.3389/fimag.2025.1476377); bands let the centre decide again and
// tell no more than the decision needs.
//
// face_match: band b means that the comparison passes step b of the fixed ladder
// of false match rates below, and every measured step under it. 0 passes none.
//
//	1  FMR 1e-2, pooled      2  FMR 1e-2 in every cohort
//	3  FMR 1e-3, pooled      4  FMR 1e-3 in every cohort
//	5  FMR 1e-4, pooled      6  FMR 1e-4 in every cohort
//	7  FMR 1e-5, pooled
//
// A step that was not measured for a model has no edge, and its band is not
// used.
//
// liveness: BandAttack, BandGrey, BandBonaFide. Other checks have no score and
// say 0.
type Band uint8

// The bands of liveness.
const (
	BandAttack   Band = 0 // at or below the point that refuses
	BandGrey     Band = 1 // between the points: a person looks
	BandBonaFide Band = 2 // above the point that accepts
)

// An OperatingPoint is a threshold with the error rate that was measured at it.
// A score passes strictly above the threshold, so that NaN never passes.
type OperatingPoint struct {
	ID        string  // as in the model's manifest, such as "fmr_1e-3"
	Rate      float64 // the error rate, such as 0.001
	Threshold float64
	// EveryCohort says that the rate holds in the worst cohort too, not only
	// pooled over all same-cohort pairs.
	EveryCohort bool
}

// passes reports whether score is strictly above the threshold.
func (p OperatingPoint) passes(score Score) bool { return float64(score) > p.Threshold }

// step returns the place of a false match rate on the ladder of Band, or 0 where
// the ladder has no such rate.
func step(fmr float64, everyCohort bool) Band {
	switch {
	case fmr == 1e-2 && !everyCohort:
		return 1
	case fmr == 1e-2:
		return 2
	case fmr == 1e-3 && !everyCohort:
		return 3
	case fmr == 1e-3:
		return 4
	case fmr == 1e-4 && !everyCohort:
		return 5
	case fmr == 1e-4:
		return 6
	case fmr == 1e-5 && !everyCohort:
		return 7
	}
	return 0
}

// faceBand returns the highest step that score passes together with every
// measured step below it. Where a strict step happens to have the lower
// threshold, the score must still pass the other one: doubt lowers.
func faceBand(score Score, points []OperatingPoint) Band {
	const none = Band(8)
	refused := none
	for _, p := range points {
		if s := step(p.Rate, p.EveryCohort); s > 0 && !p.passes(score) {
			refused = min(refused, s)
		}
	}
	var band Band
	for _, p := range points {
		if s := step(p.Rate, p.EveryCohort); s < refused {
			band = max(band, s)
		}
	}
	return band
}
