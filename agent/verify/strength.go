package verify

import "fmt"

// A Strength says how liveness was shown. Strengths are ordered; the zero value
// is weaker than all.
type Strength uint8

// The strengths, weakest first.
const (
	NoLiveness Strength = iota
	Still               // one image, passive
	Frames              // at least FramesForStrength frames from one camera, passive
	Challenge           // a random sequence of movements, bound to a nonce
)

// FramesForStrength is the least number of frames that count as Frames or
// Challenge. Fewer count as Still.
const FramesForStrength = 5

// String returns none, still, frames or challenge.
func (s Strength) String() string {
	switch s {
	case Still:
		return "still"
	case Frames:
		return "frames"
	case Challenge:
		return "challenge"
	}
	return "none"
}

// MarshalText writes String's name.
func (s Strength) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (s *Strength) UnmarshalText(text []byte) error {
	for _, known := range []Strength{NoLiveness, Still, Frames, Challenge} {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("liveness strength %q: %w; known are none still frames challenge", text, ErrUnknownName)
}

// An Attestation says who vouches for the origin of the frames. The zero value
// is Unattested.
type Attestation uint8

// The two attestations.
const (
	Unattested Attestation = iota // a browser, an upload or a virtual camera
	Attested                      // taken by this daemon from an allow-listed camera
)

// String returns attested or unattested.
func (a Attestation) String() string {
	if a == Attested {
		return "attested"
	}
	return "unattested"
}

// MarshalText writes String's name.
func (a Attestation) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText accepts exactly what MarshalText writes.
func (a *Attestation) UnmarshalText(text []byte) error {
	for _, known := range []Attestation{Unattested, Attested} {
		if known.String() == string(text) {
			*a = known
			return nil
		}
	}
	return fmt.Errorf("attestation %q: %w; known are attested unattested", text, ErrUnknownName)
}
