package config

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrKey is behind errors about a key that does not exist.
var ErrKey = errors.New("unknown config key")

// field is one settable value.
type field struct {
	key, doc string
	value    reflect.Value
}

// fields returns all settable values in the order of the struct.
func (c *Config) fields() []field { return fieldsOf(reflect.ValueOf(c).Elem(), "") }

func fieldsOf(v reflect.Value, prefix string) []field {
	var out []field
	for i := 0; i < v.NumField(); i++ {
		f := v.Type().Field(i)
		tag := f.Tag.Get("toml")
		if tag == "" {
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			out = append(out, fieldsOf(v.Field(i), prefix+tag+".")...)
			continue
		}
		out = append(out, field{prefix + tag, f.Tag.Get("doc"), v.Field(i)})
	}
	return out
}

// maxKeyBytes is the longest key that is compared with those that exist.
const maxKeyBytes = 64

// find returns the field of a key, or an error that names the closest keys.
func (c *Config) find(key string) (field, error) {
	all := c.fields()
	far := make(map[string]int, len(all))
	for _, f := range all {
		if f.key == key {
			return f, nil
		}
		far[f.key] = distance(f.key, key[:min(len(key), maxKeyBytes)])
	}
	sort.SliceStable(all, func(i, j int) bool { return far[all[i].key] < far[all[j].key] })
	return field{}, fmt.Errorf("%w %.80q: did you mean %s or %s? (avjepa config show lists all)",
		ErrKey, key, all[0].key, all[1].key)
}

// maxTextBytes is the longest value that is text: a path.
const maxTextBytes = 4096

// Set parses text as the value of a key and records where it came from.
func (c *Config) Set(key, text, origin string) error {
	f, err := c.find(key)
	if err != nil {
		return err
	}
	bad := func(want string) error {
		return fmt.Errorf("config: %s = %.80q: want %s", key, text, want)
	}
	switch f.value.Kind() {
	case reflect.String:
		if len(text) > maxTextBytes || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return bad(fmt.Sprintf("at most %d bytes of UTF-8 text", maxTextBytes))
		}
		f.value.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return bad("true or false")
		}
		f.value.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return bad("a whole number")
		}
		f.value.SetInt(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x != x || x-x != 0 {
			return bad("a finite number")
		}
		f.value.SetFloat(x)
	default:
		panic("config: key " + key + " has unsupported type " + f.value.Type().String())
	}
	c.origins[key] = origin
	return nil
}

// Setting is one key with its value and where that came from.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"` // "default", "preset demo", "file x.toml", "environment", "flag"
	Doc    string `json:"doc,omitempty"`
}

// Settings returns every key in order.
func (c *Config) Settings() []Setting {
	var out []Setting
	for _, f := range c.fields() {
		origin := c.origins[f.key]
		if origin == "" {
			origin = "default"
		}
		out = append(out, Setting{f.key, f.value.Interface(), origin, f.doc})
	}
	return out
}

// Origin returns where the value of a key came from.
func (c *Config) Origin(key string) string {
	if o := c.origins[key]; o != "" {
		return o
	}
	return "default"
}

// EnvName returns the environment variable of a key: AVJEPA_TRAIN_BATCH_SIZE.
func EnvName(key string) string {
	return "AVJEPA_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// ApplyEnviron sets the keys that variables of the form NAME=value name; other
// variables are ignored.
func (c *Config) ApplyEnviron(environ []string) error {
	byName := map[string]string{}
	for _, f := range c.fields() {
		byName[EnvName(f.key)] = f.key
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if key, ok := byName[name]; ok {
			if err := c.Set(key, value, "environment "+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// distance is the Levenshtein distance of two keys.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
