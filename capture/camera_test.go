package capture

import (
	"os"
	"path/filepath"
	"testing"
)

// record lays out what the kernel shows of one camera below a folder of its own:
// place is the parent device below /sys/devices.
func record(t *testing.T, place, subsystem, driver, name string, attributes map[string]string) string {
	t.Helper()
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	link := func(target, path string) {
		t.Helper()
		must(os.MkdirAll(target, 0o755))
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		relative, err := filepath.Rel(filepath.Dir(path), target)
		must(err)
		must(os.Symlink(relative, path))
	}
	device := filepath.Join(root, "devices", place)
	node := filepath.Join(device, "video4linux", "video0")
	write(filepath.Join(node, "name"), name)
	link(node, filepath.Join(root, "class", "video4linux", "video0"))
	if driver != "" {
		link(device, filepath.Join(node, "device"))
		link(filepath.Join(root, "bus", subsystem), filepath.Join(device, "subsystem"))
		link(filepath.Join(root, "bus", subsystem, "drivers", driver), filepath.Join(device, "driver"))
	}
	for key, value := range attributes {
		write(filepath.Join(filepath.Dir(device), key), value)
	}
	return root
}

func TestCamerasAreDescribedAsTheKernelDoes(t *testing.T) {
	logitech := map[string]string{"idVendor": "046d", "idProduct": "0825", "serial": "5F2A1B30"}
	allowed := []CameraID{{Driver: "uvcvideo", Vendor: "046D", Product: "0825"}, {Driver: "unicam"}}
	camera := Identity{Kind: KindCamera, Name: "video0"}
	with := func(change func(*Identity)) Identity { id := camera; change(&id); return id }
	for _, c := range []struct {
		name, place, subsystem, driver, label string
		attributes                            map[string]string
		want                                  Identity
	}{
		{"webcam on the list", "pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0", "usb", "uvcvideo", "UVC Camera (046d:0825)", logitech,
			with(func(id *Identity) {
				id.Driver, id.Bus, id.Serial, id.Vendor, id.Product, id.Attested =
					"uvcvideo", "usb", "5F2A1B30", "046d", "0825", true
			})},
		{"webcam not on the list", "pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0", "usb", "uvcvideo", "HD Webcam",
			map[string]string{"idVendor": "1bcf", "idProduct": "2c99"},
			with(func(id *Identity) {
				id.Driver, id.Bus, id.Vendor, id.Product = "uvcvideo", "usb", "1bcf", "2c99"
			})},
		{"ribbon camera on the list", "platform/soc/fe801000.csi", "platform", "unicam", "unicam-image", nil,
			with(func(id *Identity) { id.Driver, id.Bus, id.Attested = "unicam", "platform", true })},
		{"v4l2loopback", "virtual", "", "", "Integrated Camera", nil,
			with(func(id *Identity) { id.Virtual = true })},
		{"vivid", "platform/vivid.0", "platform", "vivid", "vivid-000-vid-cap", nil,
			with(func(id *Identity) { id.Driver, id.Bus, id.Virtual = "vivid", "platform", true })},
		{"vimc", "platform/vimc.0", "platform", "vimc", "vimc-cap", nil,
			with(func(id *Identity) { id.Driver, id.Bus, id.Virtual = "vimc", "platform", true })},
		{"a listed webcam over USB/IP", "platform/vhci_hcd.0/usb3/3-1/3-1:1.0", "usb", "uvcvideo", "UVC Camera (046d:0825)", logitech,
			with(func(id *Identity) {
				id.Driver, id.Bus, id.Serial, id.Vendor, id.Product, id.Virtual =
					"uvcvideo", "usb", "5F2A1B30", "046d", "0825", true
			})},
		{"a listed webcam imitated by the gadget driver", "platform/dummy_hcd.0/usb4/4-1/4-1:1.0", "usb", "uvcvideo", "UVC Camera (046d:0825)", logitech,
			with(func(id *Identity) {
				id.Driver, id.Bus, id.Serial, id.Vendor, id.Product, id.Virtual =
					"uvcvideo", "usb", "5F2A1B30", "046d", "0825", true
			})},
		{"a driver that calls itself virtual", "platform/cam.0", "platform", "unicam", "OBS Virtual Camera", nil,
			with(func(id *Identity) { id.Driver, id.Bus, id.Virtual = "unicam", "platform", true })},
	} {
		root := record(t, c.place, c.subsystem, c.driver, c.label, c.attributes)
		if got := describe(root, camera, allowed); got != c.want {
			t.Errorf("describe(%s)\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestCameraThatTheKernelDoesNotShowIsVirtual(t *testing.T) {
	got := describe(t.TempDir(), Identity{Kind: KindCamera, Name: "video7"}, []CameraID{{}})
	if !got.Virtual || got.Attested {
		t.Errorf("describe(unknown) = %+v, want virtual and unattested", got)
	}
}

func TestAllowListAdmitsNoMoreThanItSays(t *testing.T) {
	seen := Identity{Driver: "uvcvideo", Vendor: "046d", Product: "0825", Serial: "A1"}
	for _, c := range []struct {
		id   CameraID
		want bool
	}{
		{CameraID{}, false},
		{CameraID{Serial: "A1"}, false},
		{CameraID{Driver: "uvcvideo"}, false}, // every webcam would be admitted
		{CameraID{Vendor: "046d"}, false},
		{CameraID{Vendor: "046d", Product: "0825"}, true},
		{CameraID{Vendor: "046d", Product: "0825", Serial: "A1"}, true},
		{CameraID{Vendor: "046d", Product: "0825", Serial: "A2"}, false},
		{CameraID{Driver: "gspca", Vendor: "046d", Product: "0825"}, false},
	} {
		if got := c.id.matches(seen); got != c.want {
			t.Errorf("%+v matches %+v = %v, want %v", c.id, seen, got, c.want)
		}
	}
}
