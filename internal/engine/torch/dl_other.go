//go:build !linux && !darwin

package torch

import "errors"

var errSystem = errors.New("libraries are loaded on Linux and macOS alone")

func dlopen(string) (uintptr, error) { return 0, errSystem }

func (*library) symbol(string) (function, error) { return 0, errSystem }

func (function) call(_, _, _ uintptr) uintptr { panic("torch: " + errSystem.Error()) }
