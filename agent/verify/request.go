package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

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

// isImage reports whether the input is one or several pictures.
func (i Input) isImage() bool {
	return slices.Contains([]Input{DocumentFront, DocumentBack, Selfie, SelfieFrames}, i)
}

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

// DocumentClasses returns the classes that a document can be announced as and
// recognised as.
func DocumentClasses() []string {
	return []string{
		"passport", "id_card", "driving_licence", "residence_permit", "visa",
		"proof_of_address", "other_card", "other_document",
	}
}

// Validate refuses names that are not part of the domain, all of them at once.
func (r Request) Validate() error {
	var faults []error
	for _, name := range r.Checks {
		_, err := ParseCheckName(string(name))
		faults = append(faults, err)
	}
	if r.DocumentClass != "" && !slices.Contains(DocumentClasses(), r.DocumentClass) {
		faults = append(faults, fmt.Errorf("document class %q: %w; known are %s", r.DocumentClass, ErrUnknownName, strings.Join(DocumentClasses(), " ")))
	}
	if r.Country != "" && !alpha3(r.Country) {
		faults = append(faults, fmt.Errorf("country %q: %w; three capital letters of ISO 3166-1 are wanted", r.Country, ErrUnknownName))
	}
	return errors.Join(faults...)
}

// alpha3 reports whether a code has the form of ISO 3166-1 alpha-3.
func alpha3(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
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
