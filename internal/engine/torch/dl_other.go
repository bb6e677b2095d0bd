//go:build !(linux || darwin) || static

package torch

import "errors"

var errSystem = errors.New("this program was built for another system, or with -tags static, and " +
	"loads no libraries")

func dlopen(string) (uintptr, error) { return 0, errSystem }

func (*library) symbol(string) (function, error) { return 0, errSystem }

func (function) call(_, _, _ uintptr) uintptr { panic("torch: " + errSystem.Error()) }

func (f function) callWith([]uintptr) uintptr { return f.call(0, 0, 0) }
