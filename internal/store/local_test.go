package store_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"avjepa/internal/store"
)

// TestLinks reads through links wherever they lead, and writes through none that leads
// out of the folder.
func TestLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need rights on Windows")
	}
	dir, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "x"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"file": filepath.Join(out, "x"), "folder": out, "within": "real"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, store.Config{})
	put(t, s, "real/x", []byte("inside"))
	put(t, s, "within/y", []byte("inside"))
	for name, want := range map[string]string{"file": "outside", "folder/x": "outside",
		"within/x": "inside", "real/y": "inside"} {
		if b, err := readAll(t.Context(), s, name); string(b) != want || err != nil {
			t.Errorf("%s is %q, %v", name, b, err)
		}
	}
	if err := s.Upload(t.Context(), "folder/new", "local_test.go", nil); err == nil {
		t.Error("a link out of the folder was written through")
	}
	if err := s.Remove(t.Context(), "folder/x"); err == nil {
		t.Error("a link out of the folder was removed through")
	}
	if left, _ := os.ReadDir(out); len(left) != 1 {
		t.Errorf("%d files outside", len(left))
	}
	put(t, s, "file", []byte("new")) // takes the link's place
	if b, _ := os.ReadFile(filepath.Join(out, "x")); string(b) != "outside" {
		t.Errorf("outside is %q", b)
	}
}

// TestUnfinished hides what a killed write has left.
func TestUnfinished(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".x.tmp-1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, "file://"+filepath.ToSlash(dir), store.Config{})
	if got, ok := s.Local(); got != dir || !ok {
		t.Errorf("the folder is %q, %v", got, ok)
	}
	if all := list(t, s, ""); len(all) != 0 {
		t.Errorf("lists %v", all)
	}
}

func TestLocations(t *testing.T) {
	for location, want := range map[string]string{
		"": "", "ftp://host/x": "", "gs://bucket": "", "s3://": "", "http://": "", "http:///x": "",
		"s3://bucket/../x?region=x": "", "s3://bucket?regio=x": "", "s3://bucket?endpoint=file:///etc": "",
		"s3://key:secret@bucket": "", "s3://bucket?anonymous=perhaps": "", "file://host/x": "",
		"s3://bucket?endpoint=http://key:secret@h/": "", "https://host/x#y": "", "s3://bucket:99/x": "",
		"a\x00b": "", "s3://bucket%zz": "", "http://host/%zz": "",
		"data/mine":                           "data/mine",
		"what?.d":                             "what?.d",
		"HTTPS://me:secret@host/x?sig=secret": "https://host/x/?…",
		"http://host":                         "http://host/",
		"http://host/a%2Fb":                   "http://host/a%2Fb/",
		"s3://b?region=x":                     "s3://b",
		"s3://b/p/q/?endpoint=https://h:1":    "s3://b/p/q?endpoint=https://h:1",
	} {
		s, err := store.Open(t.Context(), location, store.Config{Keys: store.Keys{ID: "a", Secret: "b"}})
		switch {
		case want == "":
			isError(t, location, err, store.ErrLocation)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: error %q tells the secret", location, err)
			}
		case err != nil:
			t.Errorf("%s: %v", location, err)
		case s.String() != want:
			t.Errorf("%s is called %q, want %q", location, s, want)
		}
	}
	for location, want := range map[string]bool{"x": false, "/x": false, "file:///x": false,
		"S3://b": true, "http://h": true, "https://h": true} {
		if store.IsRemote(location) != want {
			t.Errorf("IsRemote(%q) is not %v", location, want)
		}
	}
}

// TestNoCredentials says which variables there are.
func TestNoCredentials(t *testing.T) {
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"} {
		t.Setenv(v, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	_, err := store.Open(t.Context(), "s3://bucket", store.Config{})
	isError(t, "no region", err, store.ErrLocation)
	_, err = open(t, "s3://bucket?endpoint=http://127.0.0.1:1", store.Config{}).Size(t.Context(), "x")
	isError(t, "no credentials", err, store.ErrPermission)
	if err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("error %v", err)
	}
}
