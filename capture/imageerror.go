package capture

import "errors"

// ErrImage matches every *ImageError: the image is at fault, not the device.
var ErrImage = errors.New("image refused")

// A Rule is a rule that an image broke, as a code for programs.
type Rule string

// The rules of Decode.
const (
	RuleEmpty     Rule = "image_empty"       // zero bytes
	RuleBytes     Rule = "image_too_large"   // more bytes than Limits.MaxBytes
	RuleFormat    Rule = "image_format"      // not one of Limits.Formats
	RulePixels    Rule = "image_too_big"     // more pixels than MaxPixels or MaxSide
	RuleTruncated Rule = "image_truncated"   // the file ends before the picture does
	RuleAnimated  Rule = "image_animated"    // more than one picture
	RuleColour    Rule = "image_colour"      // a bit depth or colour space we cannot read
	RuleCorrupt   Rule = "image_undecodable" // anything else that is not a valid file
)

// An ImageError says which rule an image broke. It matches [ErrImage].
type ImageError struct {
	Rule   Rule
	Detail string // for people: a sentence without personal data
}

func (e *ImageError) Error() string { return "image refused: " + e.Detail }

// Is makes every ImageError match ErrImage.
func (e *ImageError) Is(target error) bool { return target == ErrImage }
