package manifest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const csvExpected = "expected a first line such as path,label,split,start,end,key " +
	"(path is required, the others, labels and group are optional, the order is free)"

// readCSV parses our own CSV: fields quoted as in RFC 4180 but without line breaks
// inside. The first line names the columns: see ownColumns. It touches no file:
// Path is as written.
func readCSV(r io.Reader) ([]candidate, error) {
	var (
		found   []candidate
		columns []string
		fields  [][]byte
		lines   = newLineReader(r)
	)
	for {
		text, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if fields, err = splitFields(text, fields[:0]); err != nil {
			return nil, lines.bad(err)
		}
		if columns == nil {
			if columns, err = parseCSVHeader(fields, lines.line); err != nil {
				return nil, err
			}
			continue
		}
		if len(found) == MaxClips {
			return nil, lines.bad(errTooMany)
		}
		c, err := parseCSVRow(columns, fields, lines.line)
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	if columns == nil {
		return nil, &rowError{1, "", errors.New("empty file: " + csvExpected)}
	}
	return found, nil
}

func parseCSVHeader(fields [][]byte, line int) ([]string, error) {
	columns := make([]string, len(fields))
	for i, f := range fields {
		name := strings.ToLower(string(f))
		place := fmt.Sprintf("column %d", i+1)
		if !slices.Contains(ownColumns, name) {
			hint := ""
			if len(fields) == 1 && strings.ContainsAny(name, ";\t") {
				hint = "; fields are separated by commas"
			}
			return nil, &rowError{line, place,
				fmt.Errorf("unknown column %.80q: %s%s", name, csvExpected, hint)}
		}
		if slices.Contains(columns[:i], name) {
			return nil, &rowError{line, place, fmt.Errorf("column %q for the second time", name)}
		}
		columns[i] = name
	}
	if !slices.Contains(columns, "path") {
		return nil, &rowError{line, "", errors.New("no column path: " + csvExpected)}
	}
	if err := checkLabelColumns(columns); err != nil {
		return nil, &rowError{line, "", err}
	}
	return columns, nil
}

func parseCSVRow(columns []string, fields [][]byte, line int) (candidate, error) {
	c := candidate{line: int32(line)}
	if len(fields) != len(columns) {
		return c, &rowError{line, "", fmt.Errorf("%d fields, the first line names %d: %s",
			len(fields), len(columns), strings.Join(columns, ","))}
	}
	for i, name := range columns {
		if err := c.setField(name, strings.TrimSpace(string(fields[i]))); err != nil {
			return c, &rowError{line, "column " + name, err}
		}
	}
	if err := c.checkTimes(); err != nil {
		return c, &rowError{line, "column end", err}
	}
	return c, nil
}
