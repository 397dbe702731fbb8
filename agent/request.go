package agent

import (
	"errors"
	"fmt"

	"golang.org/x/text/language"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// ErrRequest marks a request that cannot be carried out as it stands. Nothing
// was examined and nothing recorded.
var ErrRequest = errors.New("request")

// VerifyRequest is one verification with everything it needs. Images are JPEG
// or PNG files.
type VerifyRequest struct {
	// Checks that the caller asks for. Nil asks for every check that the device
	// can run on what is given.
	Checks       []string `json:"checks"`
	Country      string   `json:"country,omitempty"`       // ISO 3166-1, two or three letters
	DocumentType string   `json:"document_type,omitempty"` // one of verify.DocumentClasses

	// The person: a picture, or the source of frames to look at now.
	Selfie []byte `json:"selfie,omitempty"`
	Camera string `json:"camera,omitempty"`

	DocumentFront []byte `json:"document_front,omitempty"`
	DocumentBack  []byte `json:"document_back,omitempty"`
	// Account is compared with instead of a document's portrait.
	Account string `json:"account,omitempty"`
}

// EnrolRequest keeps a person's face as the reference of an account.
type EnrolRequest struct {
	Account string `json:"account"` // 1 to 128 bytes
	Selfie  []byte `json:"selfie,omitempty"`
	Camera  string `json:"camera,omitempty"`
}

// request is the domain's view of what was asked and given.
func (r VerifyRequest) request() (verify.Request, error) {
	country, err := countryCode(r.Country)
	if err != nil {
		return verify.Request{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	out := verify.Request{Country: country, DocumentClass: r.DocumentType}
	if r.Checks != nil {
		out.Checks = []verify.CheckName{}
	}
	for _, name := range r.Checks {
		out.Checks = append(out.Checks, verify.CheckName(name))
	}
	if err := out.Validate(); err != nil {
		return out, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := onePerson(r.Selfie, r.Camera); err != nil {
		return out, err
	}
	if len(r.DocumentBack) > 0 && len(r.DocumentFront) == 0 {
		return out, fmt.Errorf("%w: the back of a document needs its front", ErrRequest)
	}
	if r.Account != "" && len(r.DocumentFront) > 0 {
		return out, fmt.Errorf("%w: compare with an account or with a document, not both", ErrRequest)
	}
	for _, given := range []struct {
		input verify.Input
		there bool
	}{
		{verify.Selfie, len(r.Selfie) > 0}, {verify.SelfieFrames, r.Camera != ""},
		{verify.DocumentFront, len(r.DocumentFront) > 0}, {verify.DocumentBack, len(r.DocumentBack) > 0},
		{verify.AccountReferenceInput, r.Account != ""},
	} {
		if given.there {
			out.Inputs = append(out.Inputs, given.input)
		}
	}
	return out, nil
}

func onePerson(selfie []byte, camera string) error {
	if (len(selfie) > 0) == (camera != "") {
		return fmt.Errorf("%w: needs either a picture of the person or a camera", ErrRequest)
	}
	return nil
}

// countryCode is the alpha-3 code of a country given by two or three letters of
// ISO 3166-1, or empty.
func countryCode(given string) (string, error) {
	if given == "" {
		return "", nil
	}
	region, err := language.ParseRegion(given)
	if err != nil || !region.IsCountry() || len(given) > 3 {
		return "", fmt.Errorf("country %q is no code of ISO 3166-1", given)
	}
	return region.ISO3(), nil
}
