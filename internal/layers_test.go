package internal

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers is the order of docs/architecture.md: a package may import packages of
// earlier lines only, and an engine its kernels and the interface.
var layers = [][]string{
	{"tensor", "rng", "durable", "testserver"},
	{"kernel", "engine", "engine/torch/shim", "media", "jpeg", "manifest", "store", "neardup",
		"checkpoint", "torchfile", "onnx", "chart", "metrics", "vectorfile"},
	{"engine/cpu", "engine/ref", "engine/torch", "engine/enginetest", "engine/grouptest",
		"engine/timed", "engine/torch/shim/shimtest", "nn", "view", "dataset", "library",
		"store/storetest", "pca", "weaviate/weaviatetest"},
	{"vit", "sigreg", "optim", "loader", "collective", "dataset/datasettest", "tsne", "weaviate"},
	{"jepa", "golden"},
	{"probe"},
	{"train", "retrieval", "embed", "scenes", "scaling", "exchange"},
	{"finetune"},
	{"config", "report"},
	{"encoder", "ablation"},
	{"encoder/encodertest", "explain", "indexing", "server", "server/assets",
		"server/browsertest"},
	{"server/servertest", "server/pages"},
}

// sameLine lists the imports within one line that the design allows.
var sameLine = map[string]bool{
	"engine/enginetest → engine/ref":       true, // the suite compares with the definition
	"engine/enginetest → engine/grouptest": true, // and runs processes that normalise together
}

func TestLayers(t *testing.T) {
	level := map[string]int{}
	for i, line := range layers {
		for _, p := range line {
			level[p] = i
		}
	}
	for dir, files := range goFiles(t) {
		lv, listed := level[dir]
		if !listed {
			t.Errorf("package internal/%s is on no line of the layer list", dir)
			continue
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range f.Imports {
				path, _ := strconv.Unquote(imp.Path.Value)
				dep, ours := strings.CutPrefix(path, "avjepa/internal/")
				if !ours {
					if strings.HasPrefix(path, "avjepa") {
						t.Errorf("%s imports %s, which is above it", file, path)
					}
					continue
				}
				if level[dep] >= lv && dep != dir && !sameLine[dir+" → "+dep] {
					t.Errorf("%s imports %s, which is not on an earlier line", file, path)
				}
			}
		}
	}
}

// readsEnvironment lists the files that may, and what for.
var readsEnvironment = map[string]string{
	"engine/torch/shim/shimtest/library.go": "AVJEPA_REQUIRE, the compiler, CUDA_HOME: for tests alone",
	"server/servertest/doc.go":              "AVJEPA_REQUIRE: for tests alone",
	"testserver/server.go":                  "AVJEPA_REQUIRE: for tests alone",

	"encoder/encodertest/encodertest.go": "AVJEPA_REQUIRE: for tests alone",
	"server/browsertest/browser.go":      "AVJEPA_REQUIRE, AVJEPA_SCREENSHOTS: for tests alone",

	"media/process.go": "PATH and the library path, which child processes cannot do without",
}

// TestOnlyCommandsReadTheProcess keeps flags and environment out of packages.
func TestOnlyCommandsReadTheProcess(t *testing.T) {
	for _, files := range goFiles(t) {
		for _, file := range files {
			if readsEnvironment[filepath.ToSlash(file)] != "" {
				continue
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"os.Args", "os.Getenv", "os.LookupEnv", "flag.Parse"} {
				if strings.Contains(string(src), word) {
					t.Errorf("%s uses %s: only cmd may", file, word)
				}
			}
		}
	}
}

// goFiles returns the Go files of every package under internal, tests and
// nested modules left out, by folder.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	byDir := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			dir := filepath.ToSlash(filepath.Dir(path))
			if dir != "." {
				byDir[dir] = append(byDir[dir], path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(byDir) == 0 {
		t.Fatal("no packages found")
	}
	return byDir
}
