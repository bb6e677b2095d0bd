package torchfile

import (
	"fmt"
	"strings"
)

// global is a name that a pickle looks up: module, a space, name.
type global string

// placeholders are globals that may stand for themselves in the data.
var placeholders = map[global]bool{
	"pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint": true, // keys of callbacks,
	"pytorch_lightning.callbacks.early_stopping EarlyStopping":     true, // in old versions
	"lightning.pytorch.callbacks.model_checkpoint ModelCheckpoint": true,
	"lightning.pytorch.callbacks.early_stopping EarlyStopping":     true,
	"torch float32":  true,
	"torch float16":  true,
	"torch bfloat16": true,
	"torch float64":  true,
	"torch int64":    true,
}

// factories are the arguments of a defaultdict; they make nothing here.
var factories = map[global]bool{
	"__builtin__ dict": true, "__builtin__ list": true, "__builtin__ int": true,
	"builtins dict": true, "builtins list": true, "builtins int": true,
}

// calls are what REDUCE and NEWOBJ may name, and the data that stand for the result.
var calls = map[global]func(name global, args []any) (any, error){
	"collections OrderedDict":                           emptyDict,
	"collections defaultdict":                           defaultDict,
	"argparse Namespace":                                namespace,
	"pytorch_lightning.utilities.parsing AttributeDict": emptyDict,
	"lightning.pytorch.utilities.parsing AttributeDict": emptyDict,
	"lightning.fabric.utilities.data AttributeDict":     emptyDict,
	"lightning_fabric.utilities.data AttributeDict":     emptyDict,
	"__builtin__ set":                                   set,
	"builtins set":                                      set,
	"torch Size":                                        size,
	"torch device":                                      text,
	"torch.torch_version TorchVersion":                  text,
	"pathlib PosixPath":                                 path,
	"pathlib PurePosixPath":                             path,
	"pathlib WindowsPath":                               path,
	"_codecs encode":                                    opaque,
	"numpy dtype":                                       opaque,
	"numpy.core.multiarray scalar":                      opaque,
	"numpy._core.multiarray scalar":                     opaque,
	"torch._utils _rebuild_tensor_v2":                   rebuildTensor,
	"torch._utils _rebuild_parameter":                   rebuildParameter,
}

// known reports whether a pickle may name g at all.
func known(g global) bool {
	_, storage := storageTypes[g]
	return placeholders[g] || factories[g] || calls[g] != nil || storage
}

func arguments(name global, args []any) error {
	return fmt.Errorf("%w: %s of %d arguments, or of other types than torch.save writes",
		ErrFormat, name, len(args))
}

func emptyDict(name global, args []any) (any, error) {
	if len(args) != 0 {
		return nil, arguments(name, args)
	}
	return &Dict{}, nil
}

func defaultDict(name global, args []any) (any, error) {
	if len(args) == 1 {
		if f, ok := args[0].(global); ok && factories[f] || args[0] == nil {
			return &Dict{}, nil
		}
	}
	return emptyDict(name, args)
}

func namespace(name global, args []any) (any, error) {
	if len(args) != 0 {
		return nil, arguments(name, args)
	}
	return &Dict{namespace: true}, nil
}

func set(name global, args []any) (any, error) {
	if len(args) == 1 {
		if l, ok := args[0].(*List); ok {
			return l, nil
		}
	}
	return nil, arguments(name, args)
}

func size(name global, args []any) (any, error) {
	if len(args) == 1 {
		if t, ok := args[0].(*Tuple); ok {
			return t, nil
		}
	}
	return nil, arguments(name, args)
}

// text returns the first argument: of a device its type, of a version the version.
func text(name global, args []any) (any, error) {
	if len(args) >= 1 && len(args) <= 2 {
		if s, ok := args[0].(string); ok {
			return s, nil
		}
	}
	return nil, arguments(name, args)
}

// maxPath bounds a text that is made here, not copied from the file.
const maxPath = 4096

func path(name global, args []any) (any, error) {
	parts := make([]string, len(args))
	n := 0
	for i, a := range args {
		s, ok := a.(string)
		if n += len(s); !ok || n > maxPath {
			return nil, arguments(name, args)
		}
		parts[i] = s
	}
	return strings.Join(parts, "/"), nil
}

func opaque(name global, _ []any) (any, error) { return Opaque{string(name)}, nil }
