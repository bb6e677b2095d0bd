package main

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/jpeg"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"avjepa/internal/report"
)

// onPage fails unless a report has all of the texts and is within its budget.
func onPage(t *testing.T, path string, texts ...string) string {
	t.Helper()
	page := string(readFile(t, path))
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("%s lacks %q", path, text)
		}
	}
	if len(page) > report.Budget {
		t.Errorf("%s has %d bytes", path, len(page))
	}
	if strings.Contains(page, "NaN") {
		t.Errorf("%s shows NaN", path)
	}
	return page
}

// pictures returns the sizes of the JPEG pictures of a page.
func pictures(t *testing.T, page string) (sizes []image.Point) {
	t.Helper()
	for _, m := range regexp.MustCompile(`data:image/jpeg;base64,([^"]+)"`).FindAllStringSubmatch(page, -1) {
		b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(m[1], "&#43;", "+"))
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := image.DecodeConfig(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, image.Pt(c.Width, c.Height))
	}
	return sizes
}

// A report has pictures from inside the encoder, or none when they are not wanted.
func TestReportPictures(t *testing.T) {
	dir := labFolder(t)
	path := filepath.Join(dir, "runs/base/report.html")
	o := run(t, dir, "report", "runs/base", "--clips", "0").wants(t, 0, "pictures", "map")
	if strings.TrimSpace(o.stdout) != "runs/base/report.html" {
		t.Errorf("prints %q", o.stdout)
	}
	page := onPage(t, path, "Where the last layer looks", "Attention is weight, not cause",
		"What the picture&#39;s tokens have in common", "How it groups clips", "18 points, all clips",
		"Clips by class", "avjepa pretrain --config runs/base/config.toml")
	sizes := pictures(t, page)
	if len(sizes) != 2*attendedClips+componentRowsOf(page) {
		t.Errorf("%d pictures of clips", len(sizes))
	}
	for _, s := range sizes {
		if s.X > report.PictureWidth || s.X < report.PictureWidth*3/4 {
			t.Errorf("a picture %d pixels wide", s.X)
		}
	}
	run(t, dir, "report", "runs/base", "--no-pictures", "--quiet").wants(t, 0)
	if page := onPage(t, path, "Retrieval", "nearest neighbours"); strings.Contains(page, "last layer looks") {
		t.Error("--no-pictures has pictures")
	}
}

// componentRowsOf counts the clips whose tokens are shown.
func componentRowsOf(page string) int { return strings.Count(page, "in the colours of their tokens") }

// A run whose data set is gone gets its curves, a sentence, and an exit code of its own;
// one that was named and is not there is an error.
func TestReportWithoutData(t *testing.T) {
	dir, away := labFolder(t), t.TempDir()
	if err := os.CopyFS(filepath.Join(away, "base"), os.DirFS(filepath.Join(dir, "runs/base"))); err != nil {
		t.Fatal(err)
	}
	run(t, away, "report", "base", "--quiet").wants(t, 3, "curves alone", "--data")
	page := onPage(t, filepath.Join(away, "base/report.html"), "could not be opened", "Curves", "Configuration")
	if strings.Contains(page, "Retrieval") || strings.Contains(page, "last layer looks") {
		t.Error("figures of no data")
	}
	run(t, away, "report", "base", "--data", "nowhere").wants(t, 1, "nowhere")
}

// The report of a probe has curves, every input with intervals, classes and confusions;
// that of a cross-validation its folds.
func TestReportOfClassifiers(t *testing.T) {
	dir, runs := labFolder(t), t.TempDir()
	supervised(t, runs, "probe", "--epochs", "3").wants(t, 0)
	at := filepath.Join(runs, "r")
	o := run(t, dir, "report", at, "--json", "--quiet").wants(t, 0).object(t)
	if o["report"] != filepath.Join(at, "report.html") {
		t.Errorf("report at %v", o["report"])
	}
	page := onPage(t, filepath.Join(at, "report.html"), "Held-out clips", "picture and sound", "sound alone",
		"picture alone", "Epochs", "Classes", "top-1 %", "AP %", "1000 resamples", "By input",
		"flatter", "avjepa probe runs/base --config", "d′", "33.3 %: 3 classes")
	if n := strings.Count(page, "<figure>"); n < 6 {
		t.Errorf("%d figures", n)
	}
	if !regexp.MustCompile(`<td>\d+\.\d \[\d+, \d+\]</td>`).MatchString(page) {
		t.Error("no intervals")
	}
	for _, name := range []string{"loss", "heads", "top5", "input-attentive", "input-linear", "gradient"} {
		readFile(t, at, "figures", name+"-dark.svg")
	}
	run(t, dir, "report", at, "--clips", "3", "--center").wants(t, 2, "--center, --clips", "no retrieval")
	run(t, t.TempDir(), "report", at, "--quiet").wants(t, 3, "curves alone")
	onPage(t, filepath.Join(at, "report.html"), "could not be opened", "Epochs", "By input")

	cross := t.TempDir()
	supervised(t, cross, "probe", "--epochs", "2", "--cross-validate").wants(t, 0)
	run(t, dir, "report", filepath.Join(cross, "r"), "--quiet").wants(t, 0)
	onPage(t, filepath.Join(cross, "r", "report.html"), "Mean over 3 folds", "fold3", "±", "--cross-validate",
		"Loss of each fold")
	run(t, dir, "report", filepath.Join(cross, "r", "fold2"), "--quiet").wants(t, 0)
	onPage(t, filepath.Join(cross, "r", "fold2", "report.html"), "Split &#34;fold2&#34;")
}
