package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// fault is an error with the text that people are to read, and what errors.Is finds in
// it. A server that sent it would send it again.
type fault struct {
	text string
	is   []error
}

func (f *fault) Error() string   { return f.text }
func (f *fault) Unwrap() []error { return f.is }

// errStalled is an attempt in which nothing moved for Config.Timeout.
var errStalled = errors.New("no answer in time")

// errBroken is a body that ends too early.
var errBroken = errors.New("connection broke off")

// answer is what a server said instead of yes.
type answer struct {
	status        int    // of HTTP; 0 if there is none
	code, message string // of S3, may be empty
	header        http.Header
}

// noUser is versitygw's InvalidAccessKeyId, which comes with a 404.
const noUser = "XAdminUserNotFound"

// plain is the code of a web server's answers.
const plain = "http"

func (a *answer) Error() string { return a.describe() }

// answerOf returns the answer that err has in it, or nil.
func answerOf(err error) *answer {
	if a := (*answer)(nil); errors.As(err, &a) {
		return a
	}
	var a answer
	var re *awshttp.ResponseError
	if errors.As(err, &re) && re.Response != nil && re.Response.StatusCode >= 300 {
		a.status, a.header = re.HTTPStatusCode(), re.Response.Header
	}
	var ae smithy.APIError
	if errors.As(err, &ae) {
		a.code, a.message = ae.ErrorCode(), ae.ErrorMessage()
	}
	if a.status == 0 && a.code == "" {
		return nil
	}
	return &a
}

func (a *answer) describe() string {
	text := a.code
	if a.status != 0 {
		text = fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
		if a.code != "" && a.code != plain && !strings.EqualFold(a.code, strings.ReplaceAll(text[4:], " ", "")) {
			text += ", " + a.code
		}
	}
	if m := strings.TrimSuffix(a.message, "."); m != "" && m != a.code {
		text += ": " + m
	}
	return text
}

// passing are the codes of S3 whose status does not show that they pass by themselves.
// A checksum that differs means that the bytes suffered on the way to the server.
var passing = map[string]bool{
	"SlowDown": true, "Throttling": true, "ThrottlingException": true, "RequestTimeout": true,
	"InternalError": true, "ServiceUnavailable": true, "OperationAborted": true,
	"BadDigest": true, "XAmzContentChecksumMismatch": true, "IncompleteBody": true,
	"XAmzContentSHA256Mismatch": true,
}

// transient reports whether what failed with err may succeed when done again.
func transient(err error) bool {
	if a := answerOf(err); a != nil {
		switch a.status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return true
		case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
			return false
		}
		return a.status >= 500 || passing[a.code]
	}
	if errors.Is(err, errStalled) || errors.Is(err, errBroken) {
		return true
	}
	if f := (*fault)(nil); errors.As(err, &f) || tlsFault(err) {
		return false
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		return !name.IsNotFound
	}
	var protocol textproto.ProtocolError
	if errors.As(err, &protocol) {
		return false
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		context.DeadlineExceeded, context.Canceled} { // the operation's own context was asked before
		if errors.Is(err, known) {
			return true
		}
	}
	var network net.Error // *net.OpError among them
	if errors.As(err, &network) {
		text := err.Error() // net/http has no names for these
		return !strings.Contains(text, "headers exceeded") && !strings.Contains(text, "malformed HTTP")
	}
	return false
}

// tlsFault reports whether the two ends do not agree on TLS, or one does not know of it.
func tlsFault(err error) bool {
	var (
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		noSystem x509.SystemRootsError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) ||
		errors.As(err, &noSystem) || errors.Is(err, http.ErrSchemeMismatch)
}

// describe returns what happened in a line: servers' words are bounded, and addresses
// of requests, which have signatures in them, are left out.
func describe(err error) string {
	text := ""
	if f := (*fault)(nil); errors.As(err, &f) {
		return f.text
	}
	if a := answerOf(err); a != nil {
		text = a.describe()
	} else {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		if o := (*net.OpError)(nil); errors.As(err, &o) {
			err = o
		}
		text = err.Error()
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + " …"
	}
	return text
}

// keys is what to do about credentials.
const keys = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN if they " +
	"expire), or AWS_PROFILE, to keys that may use this bucket"

// remedy returns what to do about an error that does not pass by itself, to follow its
// text, or nothing.
func remedy(err error) string {
	a := answerOf(err)
	var name *net.DNSError
	switch {
	case a != nil && (a.status == http.StatusMovedPermanently || a.code == "PermanentRedirect" ||
		a.code == "AuthorizationHeaderMalformed"):
		region := a.header.Get("X-Amz-Bucket-Region")
		if len(region) > 40 || strings.Trim(region, "abcdefghijklmnopqrstuvwxyz-0123456789") != "" {
			region = ""
		}
		if region == "" {
			return ": add ?region= with the bucket's region to the location"
		}
		return ": add ?region=" + region + " to the location"
	case a != nil:
		return answerRemedy(a)
	case tlsFault(err):
		return ": check the host's certificate, or use http:// where the server has none"
	case errors.As(err, &name):
		return ": check the name of the host"
	}
	return ""
}

func answerRemedy(a *answer) string {
	switch a.code {
	case "NoSuchBucket":
		return ": make the bucket, or correct its name or ?endpoint="
	case "RequestTimeTooSkewed":
		return ": set this machine's clock"
	case "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", noUser:
		return ": " + keys
	}
	switch {
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		if a.code == plain {
			return ": put user:password@ before the host, or see whether the address is still valid"
		}
		return ": " + keys
	case a.status >= 300 && a.status < 400:
		return ": use the address that the server sends to"
	}
	return ""
}

// sentinel returns the error that callers may look for in an answer, or nil.
func (a *answer) sentinel() error {
	switch {
	case a.code == "NoSuchKey" || a.code == "NotFound", // the latter from HEAD
		a.code == plain && (a.status == http.StatusNotFound || a.status == http.StatusGone):
		return ErrNotExist // and not NoSuchBucket: that is a mistake in the location
	case a.code == noUser || a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return ErrPermission
	case a.status == http.StatusRequestedRangeNotSatisfiable:
		return ErrShort
	}
	return nil
}

// means reports whether err is target, or an answer that says the same.
func means(err, target error) bool {
	a := answerOf(err)
	return errors.Is(err, target) || a != nil && a.sentinel() == target
}

// retryAfter returns how long the server asks to be left alone.
func retryAfter(err error) time.Duration {
	if a := answerOf(err); a != nil {
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && n > 0 && n < 3600 {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}
