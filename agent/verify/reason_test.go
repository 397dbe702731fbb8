package verify_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/edgeverify/edgeverify/agent/verify"
)

// declaredReasons reads the codes from the source, so that none is forgotten.
func declaredReasons(t *testing.T) []verify.Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []verify.Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
			return true
		}
		for _, value := range spec.Values {
			code, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, verify.Reason(code))
		}
		return true
	})
	if len(reasons) < 30 {
		t.Fatalf("found %d reasons in reason.go, want all of them", len(reasons))
	}
	return reasons
}

func TestEveryReasonHasItsOwnSentence(t *testing.T) {
	seen := map[string]verify.Reason{}
	codes := map[verify.Reason]bool{}
	for _, r := range declaredReasons(t) {
		s := r.Sentence()
		if strings.Contains(s, string(r)) || !strings.HasSuffix(s, ".") {
			t.Errorf("%s.Sentence() = %q, want a sentence of its own", r, s)
		}
		if other, ok := seen[s]; ok {
			t.Errorf("%s and %s share the sentence %q", r, other, s)
		}
		if codes[r] {
			t.Errorf("code %s is declared twice", r)
		}
		seen[s], codes[r] = r, true
	}
}

func TestAnUnknownReasonIsQuotedNotDropped(t *testing.T) {
	if got, want := verify.Reason("x_y").Sentence(), "The finding has the code x_y."; got != want {
		t.Errorf("Sentence() = %q, want %q", got, want)
	}
}

func TestAdviceTellsAnAttackerNothing(t *testing.T) {
	staff := verify.FaceDiffers.Advice()
	for _, r := range []verify.Reason{verify.AttackPrint, verify.AttackScreen, verify.AttackSuspected, verify.MoirePattern} {
		if got := r.Advice(); got != staff {
			t.Errorf("%s.Advice() = %q, want %q as for a face that differs", r, got, staff)
		}
	}
}
