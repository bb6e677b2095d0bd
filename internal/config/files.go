package config

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed presets/*.toml presets/ablations/*.toml
var presets embed.FS

// presetFolders are whole presets, and those that change one thing of another.
var presetFolders = [2]string{"presets", "presets/ablations"}

// Limits of a config text: a full one has 3 KiB, tables are one deep.
const (
	maxFileBytes = 64 << 10
	maxNesting   = 4
	maxErrors    = 20  // reported
	maxPresets   = 20  // laid over each other at once
	maxDots      = 100 // in a line: the parser takes minutes for very long dotted keys
)

// Presets returns the names of the presets with the first comment line of each.
func Presets() map[string]string {
	out := map[string]string{}
	for _, folder := range presetFolders {
		names, err := fs.Glob(presets, folder+"/*.toml")
		if err != nil {
			panic(err)
		}
		for _, file := range names {
			text, err := presets.ReadFile(file)
			if err != nil {
				panic(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			name := strings.TrimSuffix(path.Base(file), ".toml")
			if out[name] != "" {
				panic("config: two presets " + name)
			}
			out[name] = strings.TrimSpace(strings.TrimPrefix(first, "#"))
		}
	}
	return out
}

// ApplyPreset lays a preset over the present values; a preset may extend others.
// Several names with commas between them are laid down one after the other:
// "demo,dual,lambda-1".
func (c *Config) ApplyPreset(names string) error {
	if strings.Count(names, ",") > maxPresets {
		return fmt.Errorf("config: more than %d presets at once", maxPresets)
	}
	for _, name := range strings.Split(names, ",") {
		text, err := preset(name)
		if err == nil {
			err = c.apply(text, "preset "+name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// preset returns the text of a preset.
func preset(name string) (string, error) {
	for _, folder := range presetFolders {
		text, err := presets.ReadFile(folder + "/" + name + ".toml")
		if err == nil && path.Base(name) == name {
			return string(text), nil
		}
	}
	var all []string
	for n := range Presets() {
		all = append(all, n)
	}
	sort.Strings(all)
	return "", fmt.Errorf("config: no preset %.80q: there are %s", name, strings.Join(all, ", "))
}

// ApplyFile lays a TOML file over the present values.
func (c *Config) ApplyFile(file string) error {
	text, err := readText(file)
	if err != nil {
		return err
	}
	return c.apply(text, "file "+file)
}

// readText returns what is in a file, of a larger one the beginning.
func readText(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	return string(text), nil
}

// DecodeFile reads a TOML file of another form into the struct that v points to. Bounds
// are those of a config file; a key that v has no place for is an error.
func DecodeFile(file string, v any) error {
	text, err := readText(file)
	if err != nil {
		return err
	}
	meta, err := decode(text, "file "+file, v)
	if err != nil {
		return err
	}
	var unknown []string
	for i, k := range meta.Undecoded() {
		if i == maxErrors {
			unknown = append(unknown, "…")
			break
		}
		unknown = append(unknown, fmt.Sprintf("%.80q", k.String()))
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w in file %s: %s", ErrKey, file, strings.Join(unknown, ", "))
	}
	return nil
}

// decode reads a TOML text into v, unless it is of a size or form that would take long.
func decode(text, origin string, v any) (toml.MetaData, error) {
	if len(text) > maxFileBytes {
		return toml.MetaData{}, fmt.Errorf("config: %s is larger than %d bytes", origin, maxFileBytes)
	}
	for i, line := range strings.Split(text, "\n") {
		if strings.Count(line, ".") > maxDots {
			return toml.MetaData{}, fmt.Errorf("config: %s line %d has more than %d dots", origin, i+1,
				maxDots)
		}
	}
	meta, err := toml.Decode(text, v)
	if err != nil {
		return meta, fmt.Errorf("config: %s: %w", origin, err)
	}
	return meta, nil
}

// ApplyText lays a TOML text over the present values; origin says where it is
// from, in error messages and Settings.
func (c *Config) ApplyText(text, origin string) error { return c.apply(text, origin) }

// apply sets every key of a TOML text. The key "extends" names a preset to lay
// down first. All bad keys are reported, not only the first.
func (c *Config) apply(text, origin string) error {
	var tree map[string]any
	if _, err := decode(text, origin, &tree); err != nil {
		return err
	}
	if base, ok := tree["extends"].(string); ok {
		delete(tree, "extends")
		if "preset "+base == origin {
			return fmt.Errorf("config: %s extends itself", origin)
		}
		if err := c.ApplyPreset(base); err != nil {
			return err
		}
	}
	flat := map[string]string{}
	if err := flatten(tree, "", maxNesting, flat); err != nil {
		return fmt.Errorf("config: %s: %w", origin, err)
	}
	keys := make([]string, 0, len(flat))
	for k := range flat {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var errs []error
	for i, k := range keys {
		if len(errs) == maxErrors {
			errs = append(errs, fmt.Errorf("%s: and perhaps more in %d further keys",
				origin, len(keys)-i))
			break
		}
		if err := c.Set(k, flat[k], origin); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", origin, err))
		}
	}
	return errors.Join(errs...)
}

// flatten turns nested tables into dotted keys with textual values.
func flatten(tree map[string]any, prefix string, depth int, out map[string]string) error {
	if depth == 0 {
		return fmt.Errorf("%.80s…: tables nested more than %d deep", prefix, maxNesting)
	}
	for k, v := range tree {
		key := prefix + k
		switch v := v.(type) {
		case map[string]any:
			if err := flatten(v, key+".", depth-1, out); err != nil {
				return err
			}
		case string:
			out[key] = v
		case bool:
			out[key] = strconv.FormatBool(v)
		case int64:
			out[key] = strconv.FormatInt(v, 10)
		case float64:
			out[key] = strconv.FormatFloat(v, 'g', -1, 64)
		default:
			return fmt.Errorf("%.80s: a value of type %T has no place here", key, v)
		}
	}
	return nil
}

// TOML returns all settings as a TOML text that ApplyFile reads back.
func (c *Config) TOML() string {
	var b strings.Builder
	section := ""
	for _, s := range c.Settings() {
		table, key, nested := strings.Cut(s.Key, ".")
		if !nested {
			table, key = "", s.Key
		}
		if table != section {
			fmt.Fprintf(&b, "\n[%s]\n", table)
			section = table
		}
		switch v := s.Value.(type) {
		case string:
			fmt.Fprintf(&b, "%s = %s\n", key, tomlString(v))
		case float64:
			text := strconv.FormatFloat(v, 'g', -1, 64)
			if !strings.ContainsAny(text, ".e") {
				text += ".0"
			}
			fmt.Fprintf(&b, "%s = %s\n", key, text)
		default:
			fmt.Fprintf(&b, "%s = %v\n", key, v)
		}
	}
	return b.String()
}

// tomlString quotes a string as a TOML basic string.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
