package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
)

// maxJSONValue bounds the bytes of one object of a list.
const maxJSONValue = 1 << 20

// cavmaeRow is one clip of the lists that CAV-MAE and its successors read.
type cavmaeRow struct {
	VideoID string `json:"video_id"`
	Wav     string `json:"wav"`
	Video   string `json:"video_path"`
	Labels  string `json:"labels"` // separated by commas
}

// readCAVMAE reads {"data": [row, …]}, a row at a time: such a file has millions.
// Places in it are counted in rows, because it may be a single line.
//
// Source: Gong et al. 2023 (arXiv:2210.07839) and the lists published with it.
func (r *reader) readCAVMAE(l *listFile, f io.Reader) error {
	in := &bounded{r: f}
	dec := json.NewDecoder(in)
	if err := openData(dec, in); err != nil {
		return l.fatal(err)
	}
	for n := 1; ; n++ {
		in.limit = dec.InputOffset() + maxJSONValue
		if !dec.More() {
			break
		}
		var row cavmaeRow
		err := dec.Decode(&row)
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &kind):
			err = &rowError{n, kind.Field, fmt.Errorf("a %s where a text belongs", kind.Value)}
		case err != nil:
			return l.fatal(fmt.Errorf("row %d: %w", n, jsonError(err)))
		default:
			err = r.addCAVMAE(l, n, &row)
		}
		if err := l.took(err); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return l.fatal(fmt.Errorf("row %d: %w", l.rows+l.bad.Count+1, jsonError(err)))
	}
	if err := seekData(dec, in); err != errNoData {
		return l.fatal(cmp.Or(err, errors.New(`"data" for the second time`)))
	}
	return l.judge()
}

// errNoData ends seekData before the end of an object.
var errNoData = errors.New(`no field "data"`)

// openData reads up to the first row. Other fields before it are passed over if
// they are small.
func openData(dec *json.Decoder, in *bounded) error {
	in.limit = maxJSONValue
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New(`not an object such as {"data": [{"video_id": …}, …]}`)
	}
	return seekData(dec, in)
}

// seekData reads up to the array "data" in an object, errNoData when it ends first.
func seekData(dec *json.Decoder, in *bounded) error {
	for {
		in.limit = dec.InputOffset() + maxJSONValue
		if !dec.More() {
			break
		}
		t, err := dec.Token()
		if err != nil {
			return jsonError(err)
		}
		if t == "data" {
			if t, err := dec.Token(); err != nil || t != json.Delim('[') {
				return errors.New(`"data" is not an array of objects`)
			}
			return nil
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return jsonError(err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return jsonError(err)
	}
	return errNoData
}

func (r *reader) addCAVMAE(l *listFile, n int, row *cavmaeRow) error {
	c := candidate{list: l, line: int32(n)}
	c.Split = l.split
	id := []byte(row.VideoID)
	if err := checkID(id); err != nil {
		return &rowError{n, "video_id", err}
	}
	c.Key, c.Group = row.VideoID, videoOf(row.VideoID)
	if row.Labels != "" {
		var err error
		if c.Labels, err = l.parseLabels([]byte(row.Labels)); err != nil {
			return &rowError{n, "labels", err}
		}
	}
	for _, p := range []struct{ field, value string }{{"video_path", row.Video}, {"wav", row.Wav}} {
		if p.value != "" {
			if err := checkPathField(p.value); err != nil {
				return &rowError{n, p.field, err}
			}
		}
	}
	l.rows++
	l.media.placePath(&c, row.Video, row.Wav)
	return r.add(c)
}

// videoOf takes the times off the name of a clip: YouTube's names have 11
// characters.
func videoOf(id string) string {
	const n = 11
	if len(id) <= n || id[n] != '_' {
		return id
	}
	for _, c := range id[n:] {
		if c != '_' && (c < '0' || c > '9') {
			return id
		}
	}
	return id[:n]
}

// stemOf returns the base name of a path without its extension, "" for what does
// not name a media file.
func stemOf(name string) string {
	base := path.Base(name)
	ext := path.Ext(base)
	if ext == "" || notMedia[ext] {
		return ""
	}
	return base[:len(base)-len(ext)]
}

// bounded fails when it is read beyond limit.
type bounded struct {
	r           io.Reader
	read, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return 0, fmt.Errorf("a value of more than %d bytes", maxJSONValue)
	}
	p = p[:min(int64(len(p)), b.limit-b.read)]
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}
