package capture

import "math"

// QualityLimits are when a picture is good enough; the fields are limits of
// those of Quality. A field left zero refuses rather than accepts, so begin with
// DefaultFaceLimits or DefaultPictureLimits.
type QualityLimits struct {
	MinSharpness       float64
	MinMean, MaxMean   float64
	MinContrast        float64
	MaxDark, MaxBright float64
	MaxGlare           float64
	MaxLopsided        float64
	MinFaceSide        float64 // pixels
	MaxFaceFraction    float64
	MaxOffCentre       float64
	MaxCutOff          float64
}

// DefaultFaceLimits returns limits for a face, chosen just outside of what 1,137
// genuine photographs (Labeled Faces in the Wild, Face Research Lab London, live
// webcam frames of NUAA) show, so that they refuse none of these. Of the
// same faces, blurred by a Gaussian of 3 % of their width, they refuse 94 %, and
// by 5 %, 98 %; smear along one direction mostly passes.
func DefaultFaceLimits() QualityLimits {
	return QualityLimits{
		MinSharpness:    0.075, // lowest genuine 0.080
		MinMean:         0.12,  // 0.19
		MaxMean:         0.88,  // highest genuine 0.80
		MinContrast:     0.045, // lowest 0.063
		MaxDark:         0.45,  // highest 0.31
		MaxBright:       0.55,  // 0.44
		MaxGlare:        0.35,  // 0.27
		MaxLopsided:     0.45,  // 0.39
		MinFaceSide:     64,    // lowest 67
		MaxFaceFraction: 0.6,   // highest 0.37
		MaxOffCentre:    0.3,   // 0.28
		MaxCutOff:       0.05,  // 0.03
	}
}

// DefaultPictureLimits returns limits for a whole picture of a document, chosen
// in the same way on 217 photographs and scans of documents. White paper is
// bright and saturated all over, so brightness says little here and glare
// nothing: measure it on the region of the portrait. Of the same pictures,
// blurred by a Gaussian of 0.6 % of the longer side, they refuse 210.
func DefaultPictureLimits() QualityLimits {
	return QualityLimits{
		MinSharpness: 0.18,  // lowest 0.23
		MinMean:      0.12,  // lowest 0.145
		MaxMean:      0.995, // highest 0.990
		MinContrast:  0.045, // lowest 0.057
		MaxDark:      0.9,   // highest 0.85
		MaxBright:    1,
		MaxGlare:     1,
		MaxLopsided:  0.75, // highest 0.71
	}
}

// An AdviceCode names what is wrong with a picture, for programs.
type AdviceCode string

// The codes of Advice.
const (
	AdviceFaceCutOff    AdviceCode = "face_cut_off"
	AdviceFaceOffCentre AdviceCode = "face_off_centre"
	AdviceFaceTooSmall  AdviceCode = "face_too_small"
	AdviceFaceTooLarge  AdviceCode = "face_too_large"
	AdviceTooDark       AdviceCode = "too_dark"
	AdviceTooBright     AdviceCode = "too_bright"
	AdviceGlare         AdviceCode = "glare"
	AdviceUnevenLight   AdviceCode = "uneven_light"
	AdviceLowContrast   AdviceCode = "low_contrast"
	AdviceBlurred       AdviceCode = "blurred"
)

// Advice is one thing that a person can do for a better picture.
type Advice struct {
	Code AdviceCode
	Text string // English, for a screen without translations
}

// Advice compares q with limits and returns what to do, the first thing first:
// place, then light, then stillness. None means that the picture is good enough.
// A measurement that is not a number counts as out of limits.
func (q Quality) Advice(limits QualityLimits) []Advice {
	var advice []Advice
	// Each condition is what must hold, so that a NaN fails it.
	require := func(holds bool, code AdviceCode, text string) {
		if !holds {
			advice = append(advice, Advice{code, text})
		}
	}
	if q.Face {
		require(q.CutOff <= limits.MaxCutOff, AdviceFaceCutOff, "Bring your whole face into the picture")
		require(q.OffCentre <= limits.MaxOffCentre, AdviceFaceOffCentre, "Move to the middle of the picture")
		require(q.FaceSide >= limits.MinFaceSide, AdviceFaceTooSmall, "Come closer")
		require(q.FaceFraction <= limits.MaxFaceFraction, AdviceFaceTooLarge, "Move back a little")
	}
	require(q.Mean >= limits.MinMean && q.Dark <= limits.MaxDark,
		AdviceTooDark, "It is too dark: turn on a light or face the window")
	require(q.Mean <= limits.MaxMean && q.Bright <= limits.MaxBright,
		AdviceTooBright, "It is too bright: move out of the strong light")
	glare := "Turn away from the lamp or the sun: there is glare"
	if !q.Face {
		glare = "Tilt the document until no light is mirrored in it"
	}
	require(q.Glare <= limits.MaxGlare, AdviceGlare, glare)
	require(q.Lopsided <= limits.MaxLopsided, AdviceUnevenLight, "The light comes from one side: turn towards it")
	require(q.Contrast >= limits.MinContrast && !math.IsInf(q.Contrast, 0),
		AdviceLowContrast, "The picture is pale: clean the lens or change the light")
	require(q.Sharpness >= limits.MinSharpness && !math.IsInf(q.Sharpness, 0),
		AdviceBlurred, "Hold still until the picture is sharp")
	return advice
}
