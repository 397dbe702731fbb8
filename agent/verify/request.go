package verify

import "slices"

// An Input is one thing that the caller gave.
type Input string

// The inputs.
const (
	DocumentFront         Input = "document_front"
	DocumentBack          Input = "document_back"
	Selfie                Input = "selfie"            // one image of the person
	SelfieFrames          Input = "selfie_frames"     // several frames of the person
	AccountReferenceInput Input = "account_reference" // the account's enrolled reference
	Chip                  Input = "chip"
)

// A Request is what the caller asks for.
type Request struct {
	// Checks that the caller asks for. Nil asks for every check that this
	// device can run on the inputs; an empty list asks for none beyond the
	// policy's least.
	Checks []CheckName `json:"checks,omitzero"`
	// Country is the issuing country of the document in ISO 3166-1 alpha-3, as
	// ICAO 9303-3 uses it, or empty.
	Country string `json:"country,omitempty"`
	// DocumentClass is the class that the caller announced, or empty.
	DocumentClass string `json:"document_class,omitempty"`
	// Inputs that were given.
	Inputs []Input `json:"inputs"`
}

// Validate refuses names that are not part of the domain.
func (r Request) Validate() error {
	for _, name := range r.Checks {
		if _, err := ParseCheckName(string(name)); err != nil {
			return err
		}
	}
	return nil
}

// Requested returns the checks that a verification must pass: what the policy
// demands at least, and what the caller adds. Where the caller leaves its list
// out, it is every check of runnable, the checks that the device can run, whose
// inputs are given. The order is that of CheckNames.
func Requested(policy Policy, request Request, runnable []CheckName) []CheckName {
	asked := request.Checks
	if asked == nil {
		for _, name := range runnable {
			if request.feeds(name) {
				asked = append(asked, name)
			}
		}
	}
	return inOrder(append(slices.Clone(policy.Least), asked...))
}

// feeds reports whether the inputs that the check needs are given.
func (r Request) feeds(name CheckName) bool {
	has := func(inputs ...Input) bool {
		return slices.ContainsFunc(inputs, func(i Input) bool { return slices.Contains(r.Inputs, i) })
	}
	probe := has(Selfie, SelfieFrames)
	switch name {
	case Quality:
		return probe || has(DocumentFront, DocumentBack)
	case FaceMatch:
		return probe && has(DocumentFront, AccountReferenceInput, Chip)
	case Liveness:
		return probe
	}
	return false
}

// inOrder sorts names as CheckNames does, drops repetitions, and keeps names
// that it does not know at the end: a check that nobody knows must not vanish
// from what was asked.
func inOrder(names []CheckName) []CheckName {
	order := CheckNames()
	place := func(name CheckName) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	sorted := slices.Clone(names)
	slices.SortStableFunc(sorted, func(a, b CheckName) int { return place(a) - place(b) })
	var once []CheckName
	for _, name := range sorted {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}
