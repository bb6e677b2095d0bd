package store_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"avjepa/internal/store"
	"avjepa/internal/store/storetest"
)

// BenchmarkReadAt reads 1 MB from anywhere in an object of 64 MiB: of the S3 server, by
// ReadAt and by net/http alone with an address signed once, of the same server's file,
// and of a web server in this process.
func BenchmarkReadAt(b *testing.B) {
	srv := storetest.S3(b)
	s := openS3(b, srv, store.Config{})
	const size, piece = 64 << 20, 1_000_000
	put(b, s, "x", content(1, size))
	file := srv.File("some/prefix/x")
	local := open(b, srv.File("some/prefix"), store.Config{})
	if _, err := os.Stat(file); err != nil {
		b.Fatal(err)
	}
	signed := presigned(b, srv, "some/prefix/x")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	bare := func(p []byte, off int64) error {
		req, err := http.NewRequest(http.MethodGet, signed, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusPartialContent {
			return fmt.Errorf("%s", resp.Status)
		}
		_, err = io.ReadFull(resp.Body, p)
		return err
	}
	for _, kind := range []struct {
		name string
		read func(p []byte, off int64) error
	}{
		{"s3", func(p []byte, off int64) error { return s.ReadAt(context.Background(), "x", p, off) }},
		{"net-http", bare},
		{"local", func(p []byte, off int64) error { return local.ReadAt(context.Background(), "x", p, off) }},
	} {
		for _, readers := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, readers), func(b *testing.B) {
				b.SetBytes(piece)
				b.ReportAllocs()
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range readers {
					wg.Go(func() {
						p := make([]byte, piece)
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							if err := kind.read(p, i*7_654_321%(size-piece)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
			})
		}
	}
}

// presigned returns an address of an object that needs no other signature.
func presigned(b *testing.B, srv *storetest.Server, key string) string {
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &srv.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(srv.Keys.ID, srv.Keys.Secret, "")})
	r, err := s3.NewPresignClient(c).PresignGetObject(b.Context(),
		&s3.GetObjectInput{Bucket: aws.String(srv.Bucket), Key: &key}, s3.WithPresignExpires(time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	return r.URL
}
