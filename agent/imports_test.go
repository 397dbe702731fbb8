package agent_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/edgeverify/edgeverify"

// A rule says what one package, or with /... one tree of packages, may import
// beside the standard library.
type rule struct {
	who string
	// may lists packages of ours, tests what its tests may import as well.
	// Names are relative to the module and may end in /...
	may, tests []string
	// only limits third-party imports outside tests; nil leaves them to homes.
	only []string
}

var none = []string{}

// importTable is the plan of the house: imports run downward only. A package
// that is not listed fails, so that a new one begins with its rule. The longest
// matching rule counts.
func importTable() []rule {
	return []rule{
		{who: "agent/cmd/edgeverify", may: []string{"..."}},
		{who: "agent/cmd/demo", may: []string{"..."}},
		{who: "agent/e2e", may: []string{"..."}},
		{who: "agent", may: []string{
			"agent/examine", "agent/measure", "agent/specimen", "agent/vault", "agent/verify",
			"capture", "inference", "inference/onnx", "models", "sync/...", "firmware/identity",
		}, tests: []string{"models/modelstest"}},

		{who: "agent/measure", may: []string{
			"agent/examine", "agent/specimen", "agent/verify", "capture", "inference", "inference/onnx", "models",
		}, tests: []string{"models/modelstest"}},
		{who: "agent/examine", may: []string{"agent/verify", "capture", "inference", "models"},
			tests: []string{"agent/specimen", "inference/onnx", "models/modelstest"}},
		{who: "agent/vault", may: []string{"agent/verify", "sync/outbox/boltpages"}, tests: []string{"sync/outbox/outboxtest"}},
		{who: "agent/specimen", only: []string{"golang.org/x/image"}},
		// The domain core knows no camera, no model runtime, no network and no
		// disk, and so no library.
		{who: "agent/verify", may: []string{"agent/mrz"}, only: none},
		{who: "agent/mrz", only: none},

		{who: "capture"},
		{who: "inference", may: []string{"inference/onnx", "models"}, tests: []string{"models/modelstest"}},
		{who: "inference/onnx", tests: []string{"models/modelstest"}},
		{who: "models", may: []string{"models/graph"}, tests: []string{"models/..."}},
		{who: "models/...", may: []string{"models/..."}},

		// sync carries bytes and an id: it never sees a verification.
		{who: "sync/record"},
		{who: "sync/outbox", may: []string{"sync/outbox/boltpages", "sync/record"}, tests: []string{"sync/outbox/outboxtest"}},
		{who: "sync/outbox/boltpages"},
		{who: "sync/outbox/outboxtest", may: []string{"sync/outbox", "sync/record"}},
		{who: "sync/uplink", may: []string{"sync/outbox", "sync/record"}, tests: []string{
			"sync/collector", "sync/https", "sync/outbox/outboxtest", "sync/uplink/uplinktest",
		}},
		{who: "sync/uplink/uplinktest", may: []string{"sync/outbox", "sync/record", "sync/uplink"}},
		{who: "sync/https", may: []string{"sync/outbox", "sync/record", "sync/uplink"}, tests: []string{"sync/collector", "sync/uplink/uplinktest"}},
		{who: "sync/collector", may: []string{"sync/outbox/boltpages", "sync/record"}, tests: []string{"sync/https", "sync/outbox", "sync/uplink"}},

		{who: "firmware/identity", tests: []string{"sync/record"}},
	}
}

// homes are the only packages that may import a library, tests included: each
// library has one border, behind which its types stay.
func homes() map[string][]string {
	return map[string][]string{
		"gocv.io/x/gocv":                         {"capture"},
		"github.com/yalue/onnxruntime_go":        {"inference/onnx"},
		"go.etcd.io/bbolt":                       {"sync/outbox", "sync/outbox/boltpages", "agent/vault", "sync/collector", "firmware/identity"},
		"github.com/eclipse/paho.mqtt.golang":    {"sync/mqtt", "sync/collector"},
		"github.com/hashicorp/go-retryablehttp":  {"sync/https", "agent/webhook"},
		"github.com/spf13/cobra":                 {"agent/cmd/edgeverify"},
		"github.com/goccy/go-yaml":               {"agent"},
		"github.com/go-jose/go-jose/v4":          {"sync/record", "sync/collector", "firmware/identity"},
		"github.com/coreos/go-systemd/v22":       {"agent"},
		"google.golang.org/protobuf":             {"models/graph", "models/internal/onnxtest", "inference/onnx"},
		"github.com/tink-crypto/tink-go/v2/aead": {"agent/vault", "firmware/identity"},
	}
}

// An imported is one import of one file of ours.
type imported struct {
	by   string // package, relative to the module
	file string // relative to the module
	path string
}

func (i imported) inTest() bool { return strings.HasSuffix(i.file, "_test.go") }

// readImports parses the imports of every Go file in the module, whatever its
// build tags, so that no tag hides a breach and neither cgo nor OpenCV is
// needed to see one.
func readImports(root string) ([]imported, error) {
	var all []imported
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, name, entry)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		// A package that imports nothing must have a rule as well.
		all = append(all, imported{by: path.Dir(relative), file: relative})
		for _, spec := range file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all = append(all, imported{by: path.Dir(relative), file: relative, path: target})
		}
		return nil
	})
	return all, err
}

// skip leaves out what the go command leaves out: hidden folders, testdata,
// other modules.
func skip(root, name string, entry fs.DirEntry) error {
	if name == root {
		return nil
	}
	hidden := strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_")
	if hidden || entry.Name() == "testdata" || entry.Name() == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

// breach says which rule an import breaks, or nothing.
func breach(table []rule, homes map[string][]string, i imported) string {
	r, listed := ruleOf(table, i.by)
	switch {
	case !listed:
		return fmt.Sprintf("package %s has no rule in the import table", i.by)
	case i.path == "" || i.path == "C" || standard(i.path):
		return ""
	}
	if ours, ok := strings.CutPrefix(i.path, module+"/"); ok {
		own := ours == i.by || i.inTest() && matchesAny(r.tests, ours)
		if own || matchesAny(r.may, ours) {
			return ""
		}
		return fmt.Sprintf("%s imports %s, which the rule of %s does not allow", i.file, ours, r.who)
	}
	for library, in := range homes {
		if within(library, i.path) && !slices.Contains(in, i.by) {
			return fmt.Sprintf("%s imports %s, which only %s may", i.file, i.path, strings.Join(in, ", "))
		}
	}
	if r.only == nil || i.inTest() || slices.ContainsFunc(r.only, func(m string) bool { return within(m, i.path) }) {
		return ""
	}
	return fmt.Sprintf("%s imports %s; beside the standard library %s may import %v", i.file, i.path, i.by, r.only)
}

// ruleOf returns the longest rule that matches the package.
func ruleOf(table []rule, pkg string) (best rule, found bool) {
	for _, r := range table {
		if matches(r.who, pkg) && (!found || len(r.who) > len(best.who)) {
			best, found = r, true
		}
	}
	return best, found
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// matches compares as the go command does: a/... is a and everything below it.
func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	tree, ok := strings.CutSuffix(pattern, "/...")
	return pattern == pkg || ok && within(tree, pkg)
}

func within(tree, name string) bool { return name == tree || strings.HasPrefix(name, tree+"/") }

// standard reports a package of the standard library: its first element has no
// dot.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

func TestImportsRunDownwardOnly(t *testing.T) {
	all, err := readImports("..")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(i imported) bool { return i.by == "agent/verify" }) {
		t.Fatalf("found %d imports and none of agent/verify: the module was not read", len(all))
	}
	seen := map[string]bool{}
	for _, i := range all {
		if b := breach(importTable(), homes(), i); b != "" && !seen[b] {
			seen[b] = true
			t.Error(b)
		}
	}
}

func TestABreachIsReportedByName(t *testing.T) {
	tests := []struct {
		name string
		i    imported
		want string // part of the report; empty where the import is allowed
	}{
		{"standard library", imported{"agent/verify", "agent/verify/a.go", "net/http"}, ""},
		{"core and a library", imported{"agent/verify", "agent/verify/a.go", "golang.org/x/sync/errgroup"}, "agent/verify/a.go imports golang.org/x/sync"},
		{"a test of the core and a library", imported{"agent/verify", "agent/verify/a_test.go", "pgregory.net/rapid"}, ""},
		{"sync and the domain", imported{"sync/outbox", "sync/outbox/a.go", module + "/agent/verify"}, "imports agent/verify"},
		{"a test of sync and the domain", imported{"sync/outbox", "sync/outbox/a_test.go", module + "/agent/verify"}, "imports agent/verify"},
		{"inference and capture", imported{"inference", "inference/a.go", module + "/capture"}, "imports capture"},
		{"capture and inference", imported{"capture", "capture/a.go", module + "/inference"}, "imports inference"},
		{"firmware and the agent", imported{"firmware/identity", "firmware/identity/a.go", module + "/agent"}, "imports agent"},
		{"OpenCV away from home", imported{"agent/examine", "agent/examine/a.go", "gocv.io/x/gocv"}, "which only capture may"},
		{"OpenCV away from home in a test", imported{"agent/examine", "agent/examine/a_test.go", "gocv.io/x/gocv"}, "which only capture may"},
		{"OpenCV at home", imported{"capture", "capture/a.go", "gocv.io/x/gocv"}, ""},
		{"a part of bbolt away from home", imported{"agent", "agent/a.go", "go.etcd.io/bbolt/errors"}, "go.etcd.io/bbolt/errors"},
		{"drawing and its library", imported{"agent/specimen", "agent/specimen/a.go", "golang.org/x/image/font"}, ""},
		{"drawing and another", imported{"agent/specimen", "agent/specimen/a.go", "github.com/google/uuid"}, "may import [golang.org/x/image]"},
		{"a package without a rule", imported{"agent/manager", "agent/manager/a.go", ""}, "agent/manager has no rule"},
		{"a tree", imported{"models/graph", "models/graph/a.go", module + "/models"}, ""},
		{"a name that only begins alike", imported{"sync/uplink", "sync/uplink/a.go", module + "/sync/recorder"}, "imports sync/recorder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := breach(importTable(), homes(), tt.i)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("breach(%+v) = %q, want %q in it", tt.i, got, tt.want)
			}
		})
	}
}
