// Command typecheck says whether packages and all they import pass the type checker for
// other systems. It finds what a build finds, but for what only the linker sees, without
// compiling anything: for windows/amd64 20 seconds of processor time instead of 345.
//
//	go run ./scripts/typecheck linux/arm64 darwin/arm64 windows/amd64 -- ./cmd/avjepa
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/go/packages"
)

func main() {
	targets, patterns := os.Args[1:], []string{"./..."}
	if i := slices.Index(targets, "--"); i >= 0 {
		targets, patterns = targets[:i], targets[i+1:]
	}
	failed := false
	for _, target := range targets {
		begun := time.Now()
		n, err := check(target, patterns)
		if err != nil {
			fmt.Fprintf(os.Stderr, "typecheck: %s: %v\n", target, err)
			failed = true
			continue
		}
		fmt.Printf("%-14s %d packages, %.0f s\n", target, n, time.Since(begun).Seconds())
	}
	if failed || len(targets) == 0 {
		os.Exit(1)
	}
}

// check loads the packages with all they import from source, as for a target, and returns
// how many there are, or the errors found in them.
func check(target string, patterns []string) (int, error) {
	system, arch, ok := strings.Cut(target, "/")
	if !ok {
		return 0, fmt.Errorf("want system/architecture, such as linux/arm64")
	}
	cfg := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesSizes,
		Env: append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch),
	}
	roots, err := packages.Load(cfg, patterns...)
	if err != nil {
		return 0, err
	}
	n := 0
	var found []string
	packages.Visit(roots, nil, func(p *packages.Package) {
		n++
		for _, e := range p.Errors {
			found = append(found, e.Error())
		}
	})
	switch {
	case len(found) > 0:
		return n, fmt.Errorf("%s", strings.Join(found, "\n"))
	case n < 100:
		return n, fmt.Errorf("only %d packages: are the patterns right?", n)
	}
	return n, nil
}
