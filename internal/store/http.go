package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// web is a folder of a web server that answers range requests.
type web struct {
	client *http.Client
	root   url.URL // its path ends in a slash
}

// openHTTP makes s the store at an http:// or https:// location. User and password before
// the host, and what follows "?", go with every request and into no message.
func (s *Store) openHTTP(location string) error {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return fmt.Errorf("%w: an address like https://host/path/ is needed", ErrLocation)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath("/") // an escaped path gets its slash in both forms
	}
	t := newTransport(s.cfg.Timeout)
	t.objects = func(*http.Response) bool { return true } // get bounds them
	s.remote = &web{root: *u, client: &http.Client{Transport: t, CheckRedirect: follow}}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		shown.RawQuery = "…"
	}
	s.location = shown.String()
	return nil
}

// follow lets a server send elsewhere a few times, by HTTP, and not from https to http.
func follow(req *http.Request, via []*http.Request) error {
	if req.URL.Path == via[0].URL.Path+"/" {
		return &fault{is: []error{ErrNotExist}, text: "it is a folder"}
	}
	from, to := via[len(via)-1].URL.Scheme, req.URL.Scheme
	if to != "https" && to != from {
		return &fault{is: []error{ErrServer}, text: fmt.Sprintf(
			"the server sends from %s to a %.20q address, which is not followed", from, to)}
	}
	if len(via) > maxRedirects {
		return &fault{is: []error{ErrServer}, text: fmt.Sprintf(
			"the server sends elsewhere more than %d times", maxRedirects)}
	}
	return nil
}

// request sends a request for an object, for n bytes from off if n is not 0.
func (w *web) request(ctx context.Context, method, name string, off, n int64) (*http.Response, error) {
	u := w.root
	u.Path += name
	if u.RawPath != "" {
		u.RawPath += (&url.URL{Path: name}).EscapedPath()
	}
	req := (&http.Request{Method: method, URL: &u, Host: u.Host, Header: http.Header{
		"Accept-Encoding": {"identity"}, "User-Agent": {"avjepa"}}}).WithContext(ctx)
	if n != 0 {
		req.Header["Range"] = []string{rangeHeader(off, n)}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		resp.Body.Close()
		return resp, &answer{status: resp.StatusCode, code: plain, header: resp.Header}
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		resp.Body.Close()
		return nil, &fault{is: []error{ErrServer}, text: fmt.Sprintf(
			"the server sends the file as %.20q although it was told not to: switch that off", e)}
	}
	return resp, nil
}

func rangeHeader(off, n int64) string {
	return "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10)
}

// head asks by HEAD, and where a server does not know that, for the first byte.
func (w *web) head(ctx context.Context, name string) (info, error) {
	resp, err := w.request(ctx, http.MethodHead, name, 0, 0)
	if err == nil {
		resp.Body.Close()
		if resp.ContentLength >= 0 {
			return infoOf(resp, resp.ContentLength), nil
		}
	} else if a := (*answer)(nil); !errors.As(err, &a) ||
		a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotImplemented {
		return info{}, err
	}
	resp, err = w.request(ctx, http.MethodGet, name, 0, 1)
	if resp != nil {
		resp.Body.Close()
	}
	if err != nil {
		// An empty file has no first byte.
		if resp != nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable &&
			resp.Header.Get("Content-Range") == "bytes */0" {
			return infoOf(resp, 0), nil
		}
		return info{}, err
	}
	if resp.StatusCode == http.StatusOK && resp.ContentLength >= 0 {
		return infoOf(resp, resp.ContentLength), nil
	}
	size, err := checkRange(resp.Header.Get("Content-Range"), 0, 1)
	return infoOf(resp, size), err
}

// infoOf returns what the header tells about a file of size bytes.
func infoOf(resp *http.Response, size int64) info {
	tag := resp.Header.Get("ETag")
	if tag == "" {
		tag = resp.Header.Get("Last-Modified")
	}
	return info{size: size, tag: tag}
}

func (w *web) get(ctx context.Context, name string, off, n int64) (io.ReadCloser, info, error) {
	resp, err := w.request(ctx, http.MethodGet, name, off, n)
	if err != nil {
		return nil, info{}, err
	}
	size := resp.ContentLength
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		size, err = checkRange(resp.Header.Get("Content-Range"), off, n)
	case size >= 0 && size < off+n: // from an empty file some servers have no ranges
		err = short(off, n, size)
	case off != 0 || size != n: // all of the file is no answer, unless that was the question
		err = errNoRanges
	}
	if err == nil && resp.ContentLength >= 0 && resp.ContentLength != n {
		err = badRange(fmt.Sprintf("announces %d bytes for the %d", resp.ContentLength, n))
	}
	if err != nil {
		resp.Body.Close()
		return nil, info{}, err
	}
	return resp.Body, infoOf(resp, size), nil
}

// errNoRanges is a server from which parts of a file cannot be had.
var errNoRanges = &fault{is: []error{ErrServer}, text: "the server ignores the Range of a request " +
	"and sends the whole file: use one that serves parts of files"}

func short(off, n, size int64) error {
	return &fault{is: []error{ErrShort}, text: fmt.Sprintf(
		"%v: %d bytes at %d of %d", ErrShort, n, off, size)}
}

func badRange(what string) error {
	return &fault{is: []error{ErrServer}, text: "the server " + what + " that were asked for"}
}

// checkRange returns the size of the object that a Content-Range header gives, like
// "bytes 0-9/100", if the range is of n bytes from off.
func checkRange(header string, off, n int64) (int64, error) {
	spec, ok := strings.CutPrefix(header, "bytes ")
	spec, total, ok2 := strings.Cut(spec, "/")
	first, last, ok3 := strings.Cut(spec, "-")
	a, err1 := strconv.ParseInt(first, 10, 64)
	b, err2 := strconv.ParseInt(last, 10, 64)
	size, err3 := strconv.ParseInt(total, 10, 64)
	if !ok || !ok2 || !ok3 || errors.Join(err1, err2, err3) != nil {
		if header == "" {
			return 0, errNoRanges
		}
		return 0, badRange(fmt.Sprintf("sends Content-Range %.40q for the bytes", header))
	}
	if a == off && b == size-1 && b < off+n-1 {
		return 0, short(off, n, size)
	}
	if a != off || b != off+n-1 || size <= b {
		return 0, badRange(fmt.Sprintf("sends %.40q for the %d bytes at %d", header, n, off))
	}
	return size, nil
}
