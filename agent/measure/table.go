package measure

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Faults of a list of pairs or labels. They come wrapped with the list's name
// and, where there is one, the line.
var (
	ErrColumn = errors.New("column is missing")
	ErrEmpty  = errors.New("the list is empty")
	ErrValue  = errors.New("value is not allowed")
)

// table is a CSV file whose first line names its columns.
type table struct {
	path    string
	columns []string
	rows    [][]string
	lines   []int // of each row in the file
}

// readTable reads a CSV file (RFC 4180) that must have the named columns and at
// least one row. Other columns are allowed.
func readTable(path string, columns ...string) (t *table, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	t = &table{path: path}
	r := csv.NewReader(file)
	if t.columns, err = r.Read(); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(t.columns) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrEmpty)
	}
	t.columns[0] = strings.TrimPrefix(t.columns[0], "\ufeff") // a byte order mark
	for _, c := range columns {
		if !t.has(c) {
			return nil, fmt.Errorf("%s: %w: %s (there are: %s)", path, ErrColumn, c, strings.Join(t.columns, ", "))
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		line, _ := r.FieldPos(0)
		t.rows, t.lines = append(t.rows, row), append(t.lines, line)
	}
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrEmpty)
	}
	return t, nil
}

func (t *table) has(column string) bool { return slices.Contains(t.columns, column) }

// value is the field of a row; empty where the table lacks the column.
func (t *table) value(row int, column string) string {
	if i := slices.Index(t.columns, column); i >= 0 {
		return strings.TrimSpace(t.rows[row][i])
	}
	return ""
}

// file is the path that a field names, from the folder of the list, and must
// exist: better now than after an hour.
func (t *table) file(row int, column string) (string, error) {
	name := t.value(row, column)
	if name == "" {
		return "", t.fault(row, column)
	}
	path := filepath.FromSlash(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(t.path), path)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s:%d: %w", t.path, t.lines[row], err)
	}
	return path, nil
}

// fault says that a field has a value that its column does not allow.
func (t *table) fault(row int, column string, allowed ...string) error {
	hint := ""
	if len(allowed) > 0 {
		hint = "; allowed are " + strings.Join(allowed, ", ")
	}
	return fmt.Errorf("%s:%d: %s: %w: %q%s", t.path, t.lines[row], column, ErrValue, t.value(row, column), hint)
}
