package agent

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parse reads YAML over what c holds and reports every fault with its line: a
// key that nobody knows, a value of another kind, a second document. A document
// that says nothing changes nothing.
func (c *Config) parse(text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return err
	}
	var faults []error
	said := 0
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if said++; said > 1 {
			faults = append(faults, fmt.Errorf("line %d: a second document", line(doc.Body)))
			continue
		}
		faults = append(faults, fill(doc.Body, reflect.ValueOf(c).Elem(), "")...)
	}
	return errors.Join(faults...)
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil {
		return t.Position.Line
	}
	return 0
}

// fill sets the fields of a struct from a mapping.
func fill(n ast.Node, into reflect.Value, path string) (faults []error) {
	var entries []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		entries = m.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{m}
	default:
		return []error{fmt.Errorf("line %d: %skeys with values are wanted", line(n), dotted(path))}
	}
	for _, e := range entries {
		key := e.Key.String()
		field, ok := fieldOf(into, key)
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("line %d: %s%s: no such key", line(e.Key), path, key))
		case field.Kind() == reflect.Struct:
			faults = append(faults, fill(e.Value, field, path+key+".")...)
		default:
			if err := yaml.NodeToValue(e.Value, field.Addr().Interface(), yaml.Strict()); err != nil {
				faults = append(faults, fmt.Errorf("line %d: %s%s: %s is wanted", line(e.Key), path, key, kindOf(field.Type())))
			}
		}
	}
	return faults
}

func dotted(path string) string {
	if path == "" {
		return ""
	}
	return strings.TrimSuffix(path, ".") + ": "
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// kindOf says in words what a value must be.
func kindOf(t reflect.Type) string {
	switch {
	case t.PkgPath() == "time":
		return "a time such as 5s or 2m"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "a list of words"
	case t.Kind() == reflect.Slice:
		return "a list of entries with known keys"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a text"
	}
	return "a number"
}
