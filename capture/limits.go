package capture

// A Format is an image file format, recognised by content and never by name.
type Format string

// The formats that Decode can read where Limits allow it.
const (
	JPEG Format = "JPEG"
	PNG  Format = "PNG"
	WebP Format = "WebP"
	GIF  Format = "GIF"
	BMP  Format = "BMP"
)

// Defaults of Limits.
const (
	DefaultMaxBytes  = 10_000_000
	DefaultMaxPixels = 50_000_000
	DefaultMaxSide   = 16_384
)

// Limits bound what one image may cost, before a single pixel is decoded. The
// zero value stands for the defaults; a limit cannot be switched off.
type Limits struct {
	// MaxBytes is the largest file accepted: 10 MB = 10,000,000 bytes by default.
	MaxBytes int64
	// MaxPixels is the largest Width×Height accepted: 50 megapixels by default.
	MaxPixels int64
	// MaxSide is the largest width or height accepted: 16,384 by default.
	MaxSide int
	// Formats are those accepted: JPEG and PNG by default.
	Formats []Format
}

// AllFormats returns every format that Decode can read, for measuring on data
// that did not come through a policy.
func AllFormats() []Format { return []Format{JPEG, PNG, WebP, GIF, BMP} }

func (l Limits) withDefaults() Limits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if l.MaxPixels <= 0 {
		l.MaxPixels = DefaultMaxPixels
	}
	if l.MaxSide <= 0 {
		l.MaxSide = DefaultMaxSide
	}
	if len(l.Formats) == 0 {
		l.Formats = []Format{JPEG, PNG}
	}
	return l
}
