package capture

// A Kind is a kind of source.
type Kind string

// The kinds of source.
const (
	KindCamera   Kind = "camera"   // a V4L2 device
	KindVideo    Kind = "video"    // a video file
	KindStream   Kind = "stream"   // RTSP or HTTP
	KindImage    Kind = "image"    // one picture
	KindFolder   Kind = "folder"   // the pictures of a folder, by name
	KindPipeline Kind = "pipeline" // a GStreamer pipeline
)

// An Identity says where a frame came from. It carries no credentials, no query
// and no folder names, so that it may be logged and recorded.
type Identity struct {
	Kind Kind
	// Name is the device node, the file's base name or the stream's host.
	Name string
	// Driver, Bus and Serial describe a camera as the kernel does: for example
	// "uvcvideo", "usb" and the serial number the device reports. Empty if unknown.
	Driver, Bus, Serial string
	// Vendor and Product are the four hexadecimal digits of a USB device.
	Vendor, Product string
	// Virtual says that software feeds the device rather than a sensor.
	Virtual bool
	// Attested says that the frames came straight from a camera on the
	// operator's allow-list. Anything else, and every virtual device, is not.
	Attested bool
}
