package agent

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/capture"
	"github.com/edgeverify/edgeverify/models"
	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// Config is the whole configuration: one strict YAML file, in which an unknown
// key is an error, over the defaults of DefaultConfig; environment variables
// named EDGEVERIFY_ and the key's path (EDGEVERIFY_UPLINK_URL) override it.
// Secrets are never values, always paths of files.
type Config struct {
	// Data is the folder of keys, vault and outbox. One process at a time owns it.
	Data string `yaml:"data"`
	// Models is the folder of weights and of the runtime library; empty means
	// where this build expects it.
	Models string `yaml:"models"`
	// Tenant is the institution that records belong to.
	Tenant string `yaml:"tenant"`
	// Health is the loopback address of the health page; empty means none.
	Health string `yaml:"health"`

	Policy    PolicyConfig    `yaml:"policy"`
	Camera    CameraConfig    `yaml:"camera"`
	Inference InferenceConfig `yaml:"inference"`
	Outbox    OutboxConfig    `yaml:"outbox"`
	Uplink    UplinkConfig    `yaml:"uplink"`
}

// PolicyConfig is what the institution demands of a verification.
type PolicyConfig struct {
	// Name is written into no decision; its digest is.
	Name string `yaml:"name"`
	// Least are the checks that every verification must pass.
	Least []string `yaml:"least"`
	// Liveness is the least strength: still, frames or challenge.
	Liveness string `yaml:"liveness"`
	// AcceptUnattested accepts pictures that the daemon did not take itself.
	AcceptUnattested bool            `yaml:"accept_unattested"`
	FaceMatch        FaceMatchConfig `yaml:"face_match"`
	// RejectOn names those of quality, data_comparison and duplicate_face
	// whose failure rejects rather than asks a person.
	RejectOn []string `yaml:"reject_on"`
}

// FaceMatchConfig names an error rate, never a score.
type FaceMatchConfig struct {
	// FMR is a false match rate at which the encoder was measured.
	FMR float64 `yaml:"fmr"`
	// EveryCohort demands that the rate holds in the worst cohort too.
	EveryCohort bool `yaml:"every_cohort"`
}

// CameraConfig is the camera of verifications that name no other source.
type CameraConfig struct {
	// Source as in the command line: camera:0, /dev/video0, a file, a stream.
	// Commands name it ConfiguredCamera.
	Source string `yaml:"source"`
	// Frames examined a verification, at least 5 for liveness of strength frames.
	Frames int `yaml:"frames"`
	// Width and Height are asked of the camera; it may give others.
	Width  int `yaml:"width"`
	Height int `yaml:"height"`
	// Allowed are the cameras whose frames are attested. None by default.
	Allowed []AllowedCamera `yaml:"allowed"`
}

// AllowedCamera names a model of camera, or with Serial a single one, as the
// kernel describes it: a driver such as uvcvideo, USB ids in four hexadecimal digits.
type AllowedCamera struct {
	Driver  string `yaml:"driver"`
	Vendor  string `yaml:"vendor"`
	Product string `yaml:"product"`
	Serial  string `yaml:"serial"`
}

func (c CameraConfig) allowed() []capture.CameraID {
	var out []capture.CameraID
	for _, a := range c.Allowed {
		out = append(out, capture.CameraID(a))
	}
	return out
}

// InferenceConfig says how models run.
type InferenceConfig struct {
	// Threads inside one operator.
	Threads int `yaml:"threads"`
}

// OutboxConfig bounds the queue.
type OutboxConfig struct {
	// Quota in bytes of the outbox's file.
	Quota int64 `yaml:"quota"`
}

// UplinkConfig says where records go. Without a URL they wait.
type UplinkConfig struct {
	URL string `yaml:"url"`
	// CollectorKeys is a file with the public keys of the collector's receipts.
	CollectorKeys string `yaml:"collector_keys"`
	// CA, Certificate and Key are PEM files: the collector's authority and the device's TLS identity.
	CA          string `yaml:"ca"`
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// Spread is the longest random wait before the first connection after a start.
	Spread time.Duration `yaml:"spread"`
}

// DefaultConfig is the configuration of a device that was told nothing: the
// policy of one call with uploaded pictures, no uplink.
func DefaultConfig() Config {
	p := verify.InstantPolicy()
	c := Config{
		Data:   "/var/lib/edgeverify",
		Tenant: "default",
		Health: "127.0.0.1:7390",
		Policy: PolicyConfig{
			Name: p.Name, Liveness: p.Liveness.String(), AcceptUnattested: p.AcceptUnattested,
			FaceMatch: FaceMatchConfig{FMR: p.FMR, EveryCohort: p.FMRInEveryCohort},
		},
		Camera:    CameraConfig{Source: "camera:0", Frames: 7, Width: 1280, Height: 720},
		Inference: InferenceConfig{Threads: 1},
		Outbox:    OutboxConfig{Quota: 1 << 30},
		Uplink:    UplinkConfig{Spread: 120 * time.Second},
	}
	for _, name := range p.Least {
		c.Policy.Least = append(c.Policy.Least, string(name))
	}
	return c
}

// LoadConfig reads the file at path over the defaults, then the environment.
// An empty path means the defaults. Every fault is reported at once, each with
// the path of its key.
func LoadConfig(path string, environ []string) (Config, error) {
	c := DefaultConfig()
	var faults []error
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return Config{}, fmt.Errorf("configuration: %w", err)
		}
		faults = append(faults, c.parse(text))
	}
	faults = append(faults, c.override(environ), c.validate())
	if err := errors.Join(faults...); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// maxSocketPath is the longest path of a Unix socket on Linux (unix(7)).
const maxSocketPath = 107

const environPrefix = "EDGEVERIFY_"

// ConfigEnv is the environment variable that names the file.
const ConfigEnv = environPrefix + "CONFIG"

// override sets the keys that the environment names, lists as words between
// commas. A variable of our prefix that names no key is a fault: it is misspelt.
func (c *Config) override(environ []string) error {
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, environPrefix) && name != ConfigEnv {
			values[strings.TrimPrefix(name, environPrefix)] = value
		}
	}
	faults := overrideFields(reflect.ValueOf(c).Elem(), "", values)
	for _, left := range slices.Sorted(maps.Keys(values)) {
		faults = append(faults, fmt.Errorf("%s%s: no such key", environPrefix, left))
	}
	return errors.Join(faults...)
}

// overrideFields takes the values that it knows out of values.
func overrideFields(v reflect.Value, path string, values map[string]string) (faults []error) {
	for i := range v.NumField() {
		key := path + strings.ToUpper(v.Type().Field(i).Tag.Get("yaml"))
		if v.Field(i).Kind() == reflect.Struct {
			faults = append(faults, overrideFields(v.Field(i), key+"_", values)...)
			continue
		}
		value, ok := values[key]
		if !ok {
			continue
		}
		delete(values, key)
		if v.Field(i).Kind() == reflect.String {
			v.Field(i).SetString(value)
			continue
		}
		if v.Field(i).Kind() == reflect.Slice && !strings.HasPrefix(value, "[") {
			value = "[" + value + "]"
		}
		if err := yaml.UnmarshalWithOptions([]byte(value), v.Field(i).Addr().Interface(), yaml.Strict()); err != nil {
			faults = append(faults, fmt.Errorf("%s%s: %s is wanted", environPrefix, key, kindOf(v.Field(i).Type())))
		}
	}
	return faults
}

// validate reports every fault with its key path.
func (c *Config) validate() error {
	var faults []error
	fault := func(key, rule string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", key, fmt.Sprintf(rule, args...)))
	}
	if !filepath.IsAbs(c.Data) {
		fault("data", "must be an absolute path, not %q", c.Data)
	}
	if most := maxSocketPath - len(SocketName) - 1; len(c.Data) > most {
		fault("data", "must be at most %d bytes long, so that %s can be made in it", most, SocketName)
	}
	if !record.ValidName(c.Tenant) {
		fault("tenant", "must be 1 to 64 letters, digits, dots, dashes or underscores")
	}
	if c.Health != "" && !loopback(c.Health) {
		fault("health", "must be a loopback address with a port, such as 127.0.0.1:7390, not %q", c.Health)
	}
	if _, err := c.Policy.policy(); err != nil {
		fault("policy", "%v", err)
	}
	if err := c.Policy.FaceMatch.measured(); err != nil {
		fault("policy.face_match.fmr", "%v", err)
	}
	if c.Camera.Frames < 1 || c.Camera.Frames > 60 {
		fault("camera.frames", "must be 1 to 60, not %d", c.Camera.Frames)
	}
	for i, a := range c.Camera.Allowed {
		if a.Driver == "" && a.Vendor == "" {
			fault(fmt.Sprintf("camera.allowed[%d]", i), "must name a driver or a vendor: it would admit nothing")
		}
	}
	if c.Camera.Width < 0 || c.Camera.Height < 0 {
		fault("camera", "width and height must not be negative")
	}
	if c.Inference.Threads < 1 || c.Inference.Threads > 64 {
		fault("inference.threads", "must be 1 to 64, not %d", c.Inference.Threads)
	}
	if c.Outbox.Quota < outbox.MinQuota || c.Outbox.Quota > outbox.DefaultQuota {
		fault("outbox.quota", "must be %d to %d bytes, not %d", outbox.MinQuota, outbox.DefaultQuota, c.Outbox.Quota)
	}
	c.Uplink.validate(fault)
	return errors.Join(faults...)
}

func (u *UplinkConfig) validate(fault func(key, rule string, args ...any)) {
	if u.Spread < 0 || u.Spread > time.Hour {
		fault("uplink.spread", "must be 0 to 1h, not %v", u.Spread)
	}
	if (u.Certificate == "") != (u.Key == "") {
		fault("uplink", "certificate and key go together")
	}
	if u.URL == "" {
		return
	}
	at, err := url.Parse(u.URL)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil {
		fault("uplink.url", "must be an https URL without credentials")
	} else if ip := net.ParseIP(at.Hostname()); at.Scheme == "http" && (ip == nil || !ip.IsLoopback()) {
		fault("uplink.url", "must be https: plain http goes to a loopback address such as 127.0.0.1 alone")
	}
	if u.CollectorKeys == "" {
		fault("uplink.collector_keys", "must name the file of the collector's public keys: without it no receipt can be believed")
	}
}

// policy is the domain's policy, or what is wrong with it.
func (p PolicyConfig) policy() (verify.Policy, error) {
	out := verify.Policy{Name: p.Name, AcceptUnattested: p.AcceptUnattested, FMR: p.FaceMatch.FMR, FMRInEveryCohort: p.FaceMatch.EveryCohort}
	var faults []error
	if err := out.Liveness.UnmarshalText([]byte(p.Liveness)); err != nil {
		faults = append(faults, err)
	}
	for _, list := range []struct {
		from []string
		to   *[]verify.CheckName
	}{{p.Least, &out.Least}, {p.RejectOn, &out.RejectOn}} {
		for _, name := range list.from {
			check, err := verify.ParseCheckName(name)
			if err != nil {
				faults = append(faults, err)
			}
			*list.to = append(*list.to, check)
		}
	}
	if len(faults) == 0 {
		faults = append(faults, out.Validate())
	}
	return out, errors.Join(faults...)
}

// measured refuses a false match rate at which the encoder was not measured,
// by naming those that were.
func (f FaceMatchConfig) measured() error {
	manifest, err := models.Embedded()
	if err != nil {
		return err
	}
	encoder, err := manifest.Entry(models.FaceEncoder)
	if err != nil {
		return err
	}
	_, err = encoder.OperatingPoint(f.metric(), f.FMR)
	return err
}

// metric is the manifest's name for the rate that is wanted.
func (f FaceMatchConfig) metric() string {
	if f.EveryCohort {
		return models.FMREveryCohort
	}
	return models.FMR
}

// loopback reports whether address is host:port on this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
