package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// Form is the body of a request that may bring a file: fields of a multipart form, or
// the members of a JSON object.
type Form struct {
	Fields url.Values
	Upload *Upload // nil: no file came
}

// Close removes the file.
func (f *Form) Close() {
	if f != nil && f.Upload != nil {
		f.Upload.Close()
	}
}

// Upload is a file that was received. It lies in the server's folder under a name that
// has nothing to do with the client's, until Close.
type Upload struct {
	Name  string // the client's name for it, fit to be shown
	Bytes int64
	Hash  string // SHA-256 of the bytes, hexadecimal

	root *os.Root
	file string // below root
	path string
}

// Close removes the file. A second call does nothing.
func (u *Upload) Close() {
	if u.file != "" {
		_ = u.root.Remove(u.file)
		u.file = ""
	}
}

// Bounds of what comes beside the file.
const (
	maxFields     = 32
	maxFieldBytes = 8 << 10
	maxJSONBytes  = 64 << 10
	formOverhead  = 1 << 20 // boundaries, headers and fields of a multipart form
)

// Receive reads the body of a request: a multipart form with at most one file, in the
// field "file", or a JSON object of text, numbers and truth values. The caller must
// have been admitted, and must Close the form.
func (s *Server) Receive(w http.ResponseWriter, r *http.Request) (*Form, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	switch kind {
	case "application/json":
		r.Body = http.MaxBytesReader(w, r.Body, maxJSONBytes)
		fields, err := s.readJSON(r.Body)
		if err != nil {
			return nil, err
		}
		return &Form{Fields: fields}, nil
	case "multipart/form-data":
		if params["boundary"] == "" {
			return nil, badRequest("Content-Type", "has no boundary")
		}
		most := s.cfg.Limits.UploadBytes
		if r.ContentLength > most+formOverhead {
			return nil, tooManyBytes(most, r.ContentLength)
		}
		r.Body = http.MaxBytesReader(w, r.Body, most+formOverhead)
		form, err := s.readParts(multipart.NewReader(r.Body, params["boundary"]))
		if err == nil {
			// Only behind the end of its body does the server notice a client that leaves.
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, formOverhead))
		}
		return form, err
	}
	return nil, problem(http.StatusUnsupportedMediaType, "unsupported-media-type",
		"the body is neither multipart/form-data nor application/json").
		withHint(`send the file as the field "file" of a form, or {"clip": ID} as JSON`)
}

// readJSON reads an object without nesting.
func (s *Server) readJSON(r io.Reader) (url.Values, error) {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	var in map[string]any
	if err := dec.Decode(&in); err != nil {
		return nil, s.bodyProblem(err, "is not a JSON object")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, badRequest("body", "goes on behind the JSON object")
	}
	if in == nil {
		return nil, badRequest("body", "is not a JSON object")
	}
	fields := url.Values{}
	for key, v := range in {
		values, ok := v.([]any)
		if !ok {
			values = []any{v}
		}
		for _, v := range values {
			switch v := v.(type) {
			case nil:
			case string:
				fields.Add(key, v)
			case json.Number, bool:
				fields.Add(key, fmt.Sprint(v))
			default:
				return nil, badRequest("/"+key, "is neither text, number, truth value nor a list of them")
			}
		}
	}
	return fields, nil
}

// readParts reads a multipart form; the file goes straight to disk.
func (s *Server) readParts(parts *multipart.Reader) (_ *Form, err error) {
	form := &Form{Fields: url.Values{}}
	defer func() {
		if err != nil {
			form.Close()
		}
	}()
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF {
			return form, nil
		}
		if err != nil {
			return nil, s.bodyProblem(err, "is not a whole multipart form")
		}
		if n == maxFields {
			return nil, badRequest("body", fmt.Sprintf("has more than %d fields", maxFields))
		}
		name := part.FormName()
		if part.FileName() == "" && name != "file" {
			text, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
			if err != nil {
				return nil, s.bodyProblem(err, "is not a whole multipart form")
			}
			if len(text) > maxFieldBytes {
				return nil, badRequest(name, fmt.Sprintf("is longer than %d bytes", maxFieldBytes))
			}
			if len(text) > 0 { // an empty field of a form was not filled in
				form.Fields.Add(name, string(text))
			}
			continue
		}
		if name != "file" || form.Upload != nil {
			return nil, badRequest("file", `is the one field that may hold a file, once`)
		}
		if form.Upload, err = s.store(part); err != nil {
			return nil, err
		}
	}
}

// store writes a file of a form to the server's folder.
func (s *Server) store(part *multipart.Part) (_ *Upload, err error) {
	u := &Upload{Name: shownName(part.FileName()), root: s.root,
		file: filepath.Join(uploadsDir, rand.Text())}
	u.path = filepath.Join(s.cfg.Dir, u.file)
	f, err := s.root.OpenFile(u.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, diskProblem(err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = diskProblem(e)
		}
		if err != nil {
			u.Close()
		}
	}()
	sum := sha256.New()
	buffer := make([]byte, 64<<10)
	head := make([]byte, 0, magicBytes)
	for judged := false; ; {
		n, readErr := part.Read(buffer)
		u.Bytes += int64(n)
		s.metrics.uploaded.Add(float64(n))
		if u.Bytes > s.cfg.Limits.UploadBytes {
			return nil, tooManyBytes(s.cfg.Limits.UploadBytes, u.Bytes)
		}
		if !judged {
			head = append(head, buffer[:min(n, cap(head)-len(head))]...)
			if judged = len(head) == cap(head) || readErr == io.EOF; judged && len(head) > 0 &&
				!looksLikeMedia(head) {
				return nil, problem(http.StatusUnsupportedMediaType, "not-media",
					"the file is no video, sound or picture that is known here").
					withHint("MP4, WebM, MOV, MKV, AVI, MPEG, WAV, MP3, FLAC, Ogg, JPEG and PNG work")
			}
		}
		sum.Write(buffer[:n])
		if _, err := f.Write(buffer[:n]); err != nil {
			return nil, diskProblem(err)
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			return nil, s.bodyProblem(readErr, "ends within the file")
		}
	}
	u.Hash = hex.EncodeToString(sum.Sum(nil))
	return u, nil
}

// bodyProblem turns an error of reading a body into what is said of it.
func (s *Server) bodyProblem(err error, what string) error {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, errSlow):
		return s.slowProblem()
	case errors.As(err, &large):
		return tooManyBytes(large.Limit, large.Limit+1)
	}
	return badRequest("body", what)
}

func tooManyBytes(limit, value int64) *Problem {
	return problem(http.StatusRequestEntityTooLarge, "file-too-large", fmt.Sprintf(
		"the file is larger than %d bytes", limit)).withLimit(float64(limit), float64(value)).
		withHint("cut it, or make it smaller: a few seconds at 480 lines are enough")
}

func diskProblem(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return problem(http.StatusInsufficientStorage, "disk-full",
			"the server has no room left for files").after(30 * time.Second)
	}
	return &internalError{err}
}

// shownName makes a client's file name fit to be shown: the last element, without
// what cannot be seen.
func shownName(name string) string {
	name = strings.ToValidUTF8(name, "�")
	if at := strings.LastIndexAny(name, `/\`); at >= 0 {
		name = name[at+1:]
	}
	name = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, name)
	for utf8.RuneCountInString(name) > 120 {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	if name == "" {
		return "upload"
	}
	return name
}

// sweep removes uploads that a kill has left.
func (s *Server) sweep() error {
	dir, err := s.root.Open(uploadsDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if e := s.root.RemoveAll(filepath.Join(uploadsDir, name)); err == nil {
			err = e
		}
	}
	return err
}
