package verify

import (
	"fmt"
	"log/slog"
)

const redacted = "[personal]"

// Personal is text about a person. No verb of fmt and no slog handler prints it;
// string(p) and JSON do, because a person's data must be able to reach the
// person's own file.
type Personal string

// String hides the text.
func (Personal) String() string { return redacted }

// GoString hides the text.
func (Personal) GoString() string { return redacted }

// Format hides the text from every verb.
func (Personal) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the text from slog.
func (Personal) LogValue() slog.Value { return slog.StringValue(redacted) }
