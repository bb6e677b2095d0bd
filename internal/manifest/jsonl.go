package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// readJSONL parses our own JSON lines: an object on every line, with the columns of
// our CSV as fields. It touches no file: Path is as written.
func readJSONL(r io.Reader) ([]candidate, error) {
	var found []candidate
	lines := newLineReader(r)
	for {
		text, err := lines.next()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if len(found) == MaxClips {
			return nil, lines.bad(errTooMany)
		}
		c := candidate{line: int32(lines.line)}
		if field, err := parseJSONRow(&c, text); err != nil {
			return nil, &rowError{lines.line, field, err}
		}
		found = append(found, c)
	}
}

// parseJSONRow reads one object by its tokens: encoding/json alone takes the last of
// two fields with one name, and nests as deep as it is told to.
func parseJSONRow(c *candidate, text []byte) (field string, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", errors.New(`not an object such as {"path": "a.mp4", "label": "dog"}`)
	}
	var names []string
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return "", jsonError(err)
		}
		name := t.(string) // nothing else can be the name of a field
		field = fmt.Sprintf("field %.40q", name)
		if !slices.Contains(ownColumns, name) {
			return field, fmt.Errorf("unknown field: there are %s", strings.Join(ownColumns, ", "))
		}
		if slices.Contains(names, name) {
			return field, errors.New("for the second time")
		}
		names = append(names, name)
		if err := parseJSONField(c, dec, name); err != nil {
			return field, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return "", jsonError(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", errors.New("more than one object: one to a line")
	}
	if !slices.Contains(names, "path") {
		return "", errors.New("no field path")
	}
	if err := checkLabelColumns(names); err != nil {
		return "", err
	}
	if err := c.checkTimes(); err != nil {
		return "field end", err
	}
	return "", nil
}

func parseJSONField(c *candidate, dec *json.Decoder, name string) error {
	t, err := dec.Token()
	if err != nil {
		return jsonError(err)
	}
	isTime := name == "start" || name == "end"
	switch v := t.(type) {
	case json.Number:
		if isTime {
			return c.setField(name, v.String())
		}
	case string:
		if !isTime && name != "labels" {
			return c.setField(name, strings.TrimSpace(v))
		}
	case json.Delim:
		if v == '[' && name == "labels" {
			return parseJSONLabels(c, dec)
		}
	}
	switch {
	case isTime:
		return fmt.Errorf("%.40v is not a number of seconds", t)
	case name == "labels":
		return fmt.Errorf("%.40v is not an array of texts", t)
	}
	return fmt.Errorf("%.40v is not a text", t)
}

func parseJSONLabels(c *candidate, dec *json.Decoder) error {
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return jsonError(err)
		}
		l, ok := t.(string)
		if !ok {
			return fmt.Errorf("%.40v is not a text", t)
		}
		c.Labels = append(c.Labels, l)
	}
	if _, err := dec.Token(); err != nil {
		return jsonError(err)
	}
	return CheckLabels(c.Labels)
}

// jsonError is an error of encoding/json in words that say what to do.
func jsonError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("not JSON: it ends inside a value")
	}
	return fmt.Errorf("not JSON: %w", err)
}
