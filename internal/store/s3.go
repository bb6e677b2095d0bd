package store

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// maxPages is how many pages, of mostly 1000 names, a list may have, so that one without
// an end has one.
const maxPages = 10_000

// bucket is the objects of an S3-compatible store below a prefix.
type bucket struct {
	s         *Store
	name      string
	prefix    string // empty, or with a slash at its end
	options   s3.Options
	client    *s3.Client
	blobs     *blob.Bucket
	checksums bool // send and ask for CRC-32C
}

// openS3 makes s the store at an s3://bucket/prefix location. After "?" may follow
//
//	endpoint=http://host:port  as AWS_ENDPOINT_URL: the server, if not Amazon's
//	region=eu-central-1        as AWS_REGION
//	profile=name               as AWS_PROFILE
//	anonymous=true             ask without credentials, for public buckets
//	path_style=false           name the bucket in the host, although there is an endpoint
//	checksums=false            for stores that refuse additional checksums
func (s *Store) openS3(ctx context.Context, location string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrLocation, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || u.Port() != "" || u.Fragment != "" {
		return bad("a bucket like s3://name/prefix is needed")
	}
	if u.User != nil {
		return bad("s3:// locations have no keys in them: set AWS_ACCESS_KEY_ID and " +
			"AWS_SECRET_ACCESS_KEY")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("what follows ? in s3://%s is not key=value", u.Host)
	}
	b := &bucket{s: s, name: u.Host, prefix: strings.Trim(u.Path, "/")}
	if b.prefix != "" {
		if err := CheckName(b.prefix); err != nil {
			return bad("prefix: %v", err)
		}
		b.prefix += "/"
	}
	for key, values := range q {
		v := values[0]
		switch key {
		case "endpoint":
			e, err := url.Parse(v)
			if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" ||
				e.User != nil || e.RawQuery != "" {
				return bad("endpoint %.100q is not http://host:port", e.Redacted())
			}
		case "region", "profile":
			if v == "" || len(v) > 100 {
				return bad("%s %.100q is empty or longer than 100 bytes", key, v)
			}
		case "anonymous", "path_style", "checksums":
			if _, err := strconv.ParseBool(v); err != nil {
				return bad("%s=%.20q is neither true nor false", key, v)
			}
		default:
			return bad("%.40q after ?: endpoint, region, profile, anonymous, path_style and "+
				"checksums are possible", key)
		}
	}
	b.checksums = !q.Has("checksums") || isTrue(q, "checksums")

	cfg, err := s.awsConfig(ctx, q)
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if q.Has("endpoint") {
			o.BaseEndpoint = aws.String(q.Get("endpoint"))
		}
		// Few servers but Amazon's have a name for each bucket.
		o.UsePathStyle = o.BaseEndpoint != nil
		if q.Has("path_style") {
			o.UsePathStyle = isTrue(q, "path_style")
		}
	})
	b.options, b.client = client.Options(), client
	if b.blobs, err = s3blob.OpenBucket(ctx, client, b.name, nil); err != nil {
		return bad("%v", err)
	}
	s.remote = b
	shown := url.URL{Scheme: "s3", Host: u.Host, Path: strings.TrimSuffix("/"+b.prefix, "/")}
	if e := q.Get("endpoint"); e != "" {
		shown.RawQuery = "endpoint=" + e
	}
	s.location = shown.String()
	return nil
}

func isTrue(q url.Values, key string) bool {
	yes, _ := strconv.ParseBool(q.Get(key))
	return yes
}

// awsConfig returns whom to be and how to ask. The SDK reads the process's environment
// and the user's files for what neither location nor Config says; with Keys it does not.
func (s *Store) awsConfig(ctx context.Context, q url.Values) (aws.Config, error) {
	cfg := aws.Config{Region: q.Get("region")}
	switch k := s.cfg.Keys; {
	case k != Keys{}:
		cfg.Credentials = fixed(k)
	default:
		anonymous := isTrue(q, "anonymous")
		opts := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
		if cfg.Region != "" {
			opts = append(opts, config.WithRegion(cfg.Region))
		}
		if p := q.Get("profile"); p != "" {
			opts = append(opts, config.WithSharedConfigProfile(p))
		}
		if anonymous {
			opts = append(opts, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
		}
		var err error
		if cfg, err = config.LoadDefaultConfig(ctx, opts...); err != nil {
			return cfg, fmt.Errorf("opening s3 location: %s: correct the AWS_ variables or ~/.aws/config",
				describe(err))
		}
		if !anonymous && cfg.Credentials != nil {
			cfg.Credentials = found{cfg.Credentials}
		}
	}
	if cfg.Region == "" {
		if !q.Has("endpoint") {
			return cfg, fmt.Errorf("%w: no region: add ?region= to the location or set AWS_REGION",
				ErrLocation)
		}
		cfg.Region = "us-east-1" // what servers of one's own take
	}
	t := newTransport(s.cfg.Timeout)
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // with AWS_CA_BUNDLE in it
		t.base.TLSClientConfig = c.GetTransport().TLSClientConfig
	}
	t.objects = func(resp *http.Response) bool {
		r := resp.Request
		return r.Method == http.MethodGet && resp.StatusCode/100 == 2 && !r.URL.Query().Has("list-type")
	}
	cfg.HTTPClient = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // signed for one host
	}}
	cfg.Logger = logging.Nop{}
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	cfg.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	cfg.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	return cfg, nil
}

// fixed are the keys of Config.
type fixed Keys

func (k fixed) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret, SessionToken: k.Session}, nil
}

// found is where the SDK looks for keys, whose absence no waiting mends.
type found struct{ aws.CredentialsProvider }

func (f found) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := f.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = &fault{is: []error{ErrPermission}, text: "no credentials: " + keys + " (" +
			describe(err) + ")"}
	}
	return c, err
}

func (b *bucket) key(name string) string { return b.prefix + name }

func (b *bucket) head(ctx context.Context, name string) (info, error) {
	in := &s3.HeadObjectInput{Bucket: &b.name, Key: aws.String(b.key(name))}
	if b.checksums {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := b.client.HeadObject(ctx, in)
	if a := answerOf(err); a != nil && a.status == http.StatusNotFound {
		// A HEAD's answer does not say what is missing: object, bucket or user.
		r, err2 := b.blobs.NewRangeReader(ctx, b.key(name), 0, 1, nil)
		if err2 == nil {
			r.Close()
		} else if a := answerOf(err2); a != nil && a.code != "NoSuchKey" {
			err = err2
		}
	}
	if err != nil {
		return info{}, err
	}
	if out.ContentLength == nil || *out.ContentLength < 0 {
		return info{}, errNoSize
	}
	return info{size: *out.ContentLength, tag: aws.ToString(out.ETag), crc: wholeCRC(out)}, nil
}

var errNoSize = &fault{is: []error{ErrServer}, text: "the server does not say how large it is"}

// wholeCRC returns the CRC-32C of an object's bytes, or nil where the store has none, or
// one of its parts' checksums.
func wholeCRC(out *s3.HeadObjectOutput) *uint32 {
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumCRC32C))
	if err != nil || len(raw) != 4 || out.ChecksumType == types.ChecksumTypeComposite {
		return nil
	}
	return aws.Uint32(binary.BigEndian.Uint32(raw))
}

func (b *bucket) get(ctx context.Context, name string, off, n int64) (io.ReadCloser, info, error) {
	r, err := b.blobs.NewRangeReader(ctx, b.key(name), off, n, nil)
	if err != nil {
		return nil, info{}, err
	}
	var out s3.GetObjectOutput
	r.As(&out)
	if out.ContentLength == nil {
		r.Close()
		return nil, info{}, errNoSize
	}
	length := *out.ContentLength
	size := length
	if header := aws.ToString(out.ContentRange); header != "" || off != 0 || length != n {
		size, err = checkRange(header, off, n)
	}
	if err == nil && length != n {
		err = badRange(fmt.Sprintf("announces %d bytes for the %d", length, n))
	}
	if err != nil {
		r.Close()
		return nil, info{}, err
	}
	return r, info{size: size, tag: aws.ToString(out.ETag)}, nil
}

func (b *bucket) list(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(b.key(prefix))}
		for pages := 1; ; pages++ {
			var page *s3.ListObjectsV2Output
			err := b.s.start(ctx, "listing", prefix).do(func() (err error) {
				page, err = b.client.ListObjectsV2(ctx, in)
				return err
			})
			// gocloud's ListPage would go round for ever with a server that does not get on.
			next := ""
			if err == nil {
				next = aws.ToString(page.NextContinuationToken)
			}
			if next != "" && (pages == maxPages || next == aws.ToString(in.ContinuationToken)) {
				err = fmt.Errorf("listing %s: %w: the list does not end after %d pages",
					b.s.where(prefix), ErrServer, pages)
			}
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, o := range page.Contents {
				name, ok := strings.CutPrefix(aws.ToString(o.Key), b.prefix)
				size := aws.ToInt64(o.Size)
				if !ok || !strings.HasPrefix(name, prefix) || CheckName(name) != nil || size < 0 {
					continue
				}
				if !yield(Object{name, size}, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			in.ContinuationToken = &next
		}
	}
}

func (b *bucket) remove(ctx context.Context, name string) error {
	attempts := 0
	return b.s.start(ctx, "removing", name).do(func() error {
		attempts++
		err := b.blobs.Delete(ctx, b.key(name))
		if means(err, ErrNotExist) && attempts > 1 {
			return nil // by an attempt before, whose answer was lost
		}
		return err
	})
}

// contentType keeps the bucket from looking at the bytes.
var contentType = map[string]string{".json": "application/json", ".tar": "application/x-tar"}

func typeOf(name string) string {
	if t := contentType[path.Ext(name)]; t != "" {
		return t
	}
	return "application/octet-stream"
}
