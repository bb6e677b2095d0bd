// Command web makes what the browser loads from src and npm: scripts and the style
// sheet, with the hash of their content in their names, into
// ../internal/server/assets/dist. It needs neither Node nor a network.
//
//	go run .                        bundle (make web)
//	go run . -vendor DIR            copy the modules that src imports from an npm
//	                                folder into npm (make web-vendor)
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

const out = "../internal/server/assets/dist"

// entries are the scripts that pages load, by the name that templates use.
var entries = []string{"app", "search", "why", "runs", "map"}

func main() {
	vendor := flag.String("vendor", "", "an npm folder with node_modules and package-lock.json")
	flag.Parse()
	var err error
	if *vendor != "" {
		err = copyModules(*vendor)
	} else {
		err = bundle()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

// options returns how src is bundled, with packages read from folder.
func options(folder string) (api.BuildOptions, error) {
	dir, err := os.Getwd()
	if err != nil {
		return api.BuildOptions{}, err
	}
	o := api.BuildOptions{
		AbsWorkingDir: dir, NodePaths: []string{folder},
		Outdir: out, EntryNames: "[name]-[hash]", ChunkNames: "shared-[hash]",
		Bundle: true, Splitting: true, Format: api.FormatESModule, Platform: api.PlatformBrowser,
		Engines: []api.Engine{{Name: api.EngineChrome, Version: "123"},
			{Name: api.EngineFirefox, Version: "120"}, {Name: api.EngineSafari, Version: "17.5"}},
		MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true,
		LegalComments: api.LegalCommentsNone, Metafile: true, LogLevel: api.LogLevelWarning,
	}
	for _, e := range entries {
		o.EntryPoints = append(o.EntryPoints, "src/"+e+".ts")
	}
	o.EntryPoints = append(o.EntryPoints, "src/app.css")
	return o, nil
}

// metafile is what esbuild says of a build, as far as it is read here.
type metafile struct {
	Inputs  map[string]struct{} `json:"inputs"`
	Outputs map[string]struct {
		EntryPoint string `json:"entryPoint"`
		Imports    []struct {
			Path string `json:"path"`
			Kind string `json:"kind"`
		} `json:"imports"`
	} `json:"outputs"`
}

// asset is an entry of manifest.json: the file of a name, and the files that it
// imports, which a page asks for at once.
type asset struct {
	File    string   `json:"file"`
	Imports []string `json:"imports,omitempty"`
}

func bundle() error {
	o, err := options("npm")
	if err != nil {
		return err
	}
	result := api.Build(o)
	if len(result.Errors) > 0 {
		return fmt.Errorf("%d errors", len(result.Errors))
	}
	var meta metafile
	if err := json.Unmarshal([]byte(result.Metafile), &meta); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, f := range result.OutputFiles {
		if err := os.WriteFile(f.Path, f.Contents, 0o644); err != nil {
			return err
		}
	}
	manifest := map[string]asset{}
	for path, o := range meta.Outputs {
		if o.EntryPoint == "" {
			continue
		}
		a := asset{File: filepath.Base(path)}
		for _, i := range o.Imports {
			if i.Kind == "import-statement" {
				a.Imports = append(a.Imports, filepath.Base(i.Path))
			}
		}
		sort.Strings(a.Imports)
		name := filepath.Base(o.EntryPoint)
		manifest[strings.TrimSuffix(name, ".ts")] = a
	}
	text, err := json.MarshalIndent(manifest, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "manifest.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return thirdParty(meta)
}

// packageOf returns the npm package of an input, "" for ours.
func packageOf(input, folder string) string {
	rest, ok := strings.CutPrefix(filepath.ToSlash(input), filepath.ToSlash(folder)+"/")
	if !ok {
		return ""
	}
	parts := strings.SplitN(rest, "/", 3)
	if strings.HasPrefix(parts[0], "@") {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// thirdParty writes the licences of the packages that are in the bundles.
func thirdParty(meta metafile) error {
	var all map[string]vendored
	text, err := os.ReadFile("npm/vendor.json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("The scripts and the style sheet in this folder contain these packages.\n")
	for _, name := range packages(meta, "npm") {
		licence, err := os.ReadFile(filepath.Join("npm", name, "LICENSE"))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n== %s %s (%s)\n\n%s\n", name, all[name].Version, all[name].Licence,
			strings.TrimSpace(string(licence)))
	}
	return os.WriteFile(filepath.Join(out, "THIRD_PARTY.txt"), []byte(b.String()), 0o644)
}

// packages returns the names of the packages among the inputs, in order.
func packages(meta metafile, folder string) []string {
	seen := map[string]bool{}
	var names []string
	for input := range meta.Inputs {
		if name := packageOf(input, folder); name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}
