// Package assets holds what browsers load: scripts and the style sheet that
// `make web` bundles from the module in web/, committed so that the program builds
// without Node and without a network. Names carry a hash of the content.
package assets

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files returns the files by name.
func Files() fs.FS {
	f, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}

// Asset is an entry of the manifest: the file that has a name such as "app" or
// "app.css", and the files that it imports.
type Asset struct {
	File    string   `json:"file"`
	Imports []string `json:"imports"`
}

// Manifest returns the assets by the names that templates use.
func Manifest() (map[string]Asset, error) {
	text, err := dist.ReadFile("dist/manifest.json")
	if err != nil {
		return nil, fmt.Errorf("assets: %w: run make web", err)
	}
	var m map[string]Asset
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("assets: manifest.json: %w", err)
	}
	return m, nil
}
