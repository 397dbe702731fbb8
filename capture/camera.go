package capture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A CameraID names a model of camera, or one single camera, on the operator's
// allow-list. Vendor and Product are the USB ids in four lower-case hexadecimal
// digits; for a camera that is not on USB they are empty and Driver tells.
// Serial, if not empty, admits one device only.
type CameraID struct {
	Driver, Vendor, Product, Serial string
}

func (c CameraID) matches(id Identity) bool {
	if c.Driver == "" && c.Vendor == "" {
		return false // the zero CameraID admits nothing
	}
	return (c.Driver == "" || c.Driver == id.Driver) &&
		strings.EqualFold(c.Vendor, id.Vendor) && strings.EqualFold(c.Product, id.Product) &&
		(c.Serial == "" || c.Serial == id.Serial)
}

// isVirtualDriver tells the drivers that make pictures without a sensor, or carry
// them in from elsewhere: the kernel's test drivers, loopback devices, and
// software USB ports.
func isVirtualDriver(name string) bool {
	switch strings.ToLower(name) {
	case "v4l2loopback", "v4l2 loopback", "vivid", "vimc", "vim2m", "vicodec", "visl",
		"vcam", "akvcam", "vhci_hcd", "usbip", "dummy_hcd":
		return true
	}
	return false
}

// describe adds what the kernel knows of a camera, below the folder sysfs. What
// cannot be read stays empty, and an unknown device is treated as virtual.
func describe(sysfs string, id Identity, allowed []CameraID) Identity {
	id = Identity{Kind: id.Kind, Name: id.Name, Virtual: true}
	sysfs, err := filepath.EvalSymlinks(sysfs)
	if err != nil {
		return id
	}
	node, err := filepath.EvalSymlinks(filepath.Join(sysfs, "class", "video4linux", id.Name))
	if err != nil {
		return id
	}
	device, err := filepath.EvalSymlinks(filepath.Join(node, "device"))
	if err != nil {
		return id // without a parent device it is software
	}
	id.Driver = linkName(filepath.Join(device, "driver"))
	id.Bus = linkName(filepath.Join(device, "subsystem"))
	if id.Bus == "usb" {
		// The camera is one interface of the USB device above it.
		usb := filepath.Dir(device)
		id.Serial = attribute(usb, "serial")
		id.Vendor, id.Product = attribute(usb, "idVendor"), attribute(usb, "idProduct")
	}
	place := strings.TrimPrefix(device, sysfs)
	id.Virtual = id.Driver == "" || isVirtual(place, id.Driver, attribute(node, "name"))
	id.Attested = !id.Virtual && slices.ContainsFunc(allowed, func(c CameraID) bool { return c.matches(id) })
	return id
}

// isVirtual judges a device by its place below sysfs, its driver and its name.
func isVirtual(place, driver, name string) bool {
	if isVirtualDriver(driver) {
		return true
	}
	// The place names every bridge on the way: …/platform/vhci_hcd.0/usb3/3-1/….
	for part := range strings.SplitSeq(place, string(filepath.Separator)) {
		base, _, _ := strings.Cut(part, ".")
		if part == "virtual" || isVirtualDriver(base) {
			return true
		}
	}
	name = strings.ToLower(name)
	return strings.Contains(name, "virtual") || strings.Contains(name, "loopback") || strings.Contains(name, "dummy video")
}

// linkName returns the base name of where a link points, or nothing.
func linkName(link string) string {
	target, err := os.Readlink(link)
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// attribute reads one line that the kernel gives of a device, or nothing.
func attribute(device, name string) string {
	text, err := os.ReadFile(filepath.Join(device, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
