package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
)

// settings are the flags that choose a configuration.
type settings struct {
	preset string
	run    string // config.toml of a run to continue: stands in for the preset
	file   string
	set    []string
}

func (s *settings) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.preset, "preset", s.preset,
		"preset to start from, or several laid over each other: demo,dual "+
			"(avjepa config presets lists them)")
	f.StringVar(&s.file, "config", "", "TOML file laid over the preset")
	f.StringArrayVar(&s.set, "set", nil, "one value, such as --set train.lr=3e-4; may be repeated")
}

// resolve lays defaults, preset, file, environment and flags over each other.
func (s *settings) resolve() (*config.Config, error) { return s.resolveOver(config.New()) }

// resolveOver lays them over a configuration.
func (s *settings) resolveOver(c *config.Config) (*config.Config, error) {
	if s.run != "" {
		if err := c.ApplyFile(s.run); err != nil {
			return nil, configError(err)
		}
	} else if s.preset != "" {
		if err := c.ApplyPreset(s.preset); err != nil {
			return nil, configError(err)
		}
	}
	if s.file != "" {
		if err := c.ApplyFile(s.file); err != nil {
			return nil, configError(err)
		}
	}
	if err := c.ApplyEnviron(os.Environ()); err != nil {
		return nil, configError(err)
	}
	return c, setAll(c, s.set)
}

// setAll sets key=value each.
func setAll(c *config.Config, all []string) error {
	for _, kv := range all {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return usageError(fmt.Errorf("--set %q: want key=value", kv))
		}
		if err := c.Set(strings.TrimSpace(key), strings.TrimSpace(value), "flag --set"); err != nil {
			return configError(err)
		}
	}
	return nil
}

// override sets a key from a flag of its own, when the flag was given.
func override(c *config.Config, cmd *cobra.Command, flag, key string) error {
	f := cmd.Flags().Lookup(flag)
	if !f.Changed {
		return nil
	}
	return c.Set(key, f.Value.String(), "flag --"+flag)
}

// validate reports every setting that cannot be used.
func validate(c *config.Config) error {
	if n := c.Engine.Name; n != config.EngineCPU && n != config.EngineTorch {
		return kind{fmt.Errorf("engine.name = %q: there are the engines %q and %q", n,
			config.EngineCPU, config.EngineTorch), errEngine}
	}
	if err := c.Validate(); err != nil {
		return configError(err)
	}
	return nil
}
