package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// vendored is what npm/vendor.json says of a package.
type vendored struct {
	Version   string `json:"version"`
	Licence   string `json:"license"`
	Integrity string `json:"integrity"` // of the package's archive, from package-lock.json
}

// copyModules copies the modules of packages that src imports, their package.json
// and their licences from dir/node_modules into npm. npm has checked the archives
// against the lock file, whose versions and hashes go into npm/vendor.json.
func copyModules(dir string) error {
	folder, err := filepath.Abs(filepath.Join(dir, "node_modules"))
	if err != nil {
		return err
	}
	o, err := options(folder)
	if err != nil {
		return err
	}
	o.Write = false
	result := api.Build(o)
	if len(result.Errors) > 0 {
		return fmt.Errorf("%d errors", len(result.Errors))
	}
	var meta metafile
	if err := json.Unmarshal([]byte(result.Metafile), &meta); err != nil {
		return err
	}
	rel, err := filepath.Rel(o.AbsWorkingDir, folder)
	if err != nil {
		return err
	}
	var lock struct {
		Packages map[string]vendored `json:"packages"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return err
	}
	if err := os.RemoveAll("npm"); err != nil {
		return err
	}
	all := map[string]vendored{}
	for _, name := range packages(meta, rel) {
		v, ok := lock.Packages["node_modules/"+name]
		if !ok || v.Integrity == "" {
			return fmt.Errorf("package-lock.json has no hash of %s", name)
		}
		all[name] = v
		for _, file := range []string{"LICENSE", "package.json"} {
			if err := copyFile(filepath.Join(folder, name, file), filepath.Join("npm", name, file)); err != nil {
				return err
			}
		}
	}
	for input := range meta.Inputs {
		if packageOf(input, rel) == "" {
			continue
		}
		inside := strings.TrimPrefix(filepath.ToSlash(input), filepath.ToSlash(rel)+"/")
		if err := copyFile(input, filepath.Join("npm", inside)); err != nil {
			return err
		}
	}
	text, err = json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile("npm/vendor.json", append(text, '\n'), 0o644)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
