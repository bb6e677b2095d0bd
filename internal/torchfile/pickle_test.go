package torchfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRefusesHostilePickles(t *testing.T) {
	bomb := "]q\x000"
	for i := range 40 { // each list holds the one before twice
		bomb += fmt.Sprintf("](h%ch%ceq%c0", i, i, i+1)
	}
	bomb += "h\x28."
	for name, c := range map[string]struct {
		pickle string
		want   error
	}{
		"os.system":            {"cos\nsystem\n(X\x02\x00\x00\x00idtR.", ErrRefused},
		"posix.system, unused": {"}cposix\nsystem\n0.", ErrRefused},
		"builtins.eval":        {"cbuiltins\neval\n.", ErrRefused},
		"getattr":              {"c__builtin__\ngetattr\n.", ErrRefused},
		"torch.load":           {"ctorch\nload\n.", ErrRefused},
		"a call of a factory":  {"c__builtin__\ndict\n)R.", ErrRefused},
		"a call of a list":     {"])R.", ErrRefused},
		"a call of a mark":     {"ctorch\nfloat32\n)R.", ErrRefused},
		"a function as data":   {"ctorch._utils\n_rebuild_tensor_v2\n.", ErrRefused},
		"a storage as data": {"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" +
			"X\x01\x00\x00\x000NK\x02tQ.", ErrFormat},
		"old INST":              {"(ios\nsystem\n.", ErrFormat},
		"old OBJ":               {"(cos\nsystem\no.", ErrRefused},
		"protocol 4's global":   {"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", ErrFormat},
		"an extension":          {"\x82\x01.", ErrFormat},
		"protocol 5":            {"\x80\x05}.", ErrFormat},
		"cut short":             {"}", ErrFormat},
		"nothing":               {".", ErrFormat},
		"two values":            {"}}.", ErrFormat},
		"an open mark":          {"}(.", ErrFormat},
		"no mark":               {"}u.", ErrFormat},
		"below the mark":        {"}(0.", ErrFormat},
		"a text cut short":      {"X\xff\xff\xff\x7fabc.", ErrFormat},
		"a text that is none":   {"X\x01\x00\x00\x00\xff.", ErrFormat},
		"a name without end":    {"c" + strings.Repeat("a", 1000) + ".", ErrFormat},
		"a huge integer":        {"\x8a\xff" + strings.Repeat("\x7f", 255) + ".", ErrFormat},
		"not remembered":        {"h\x07.", ErrFormat},
		"a key twice":           {"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.", ErrFormat},
		"a dict as key":         {"}}Ns.", ErrFormat},
		"a list that holds it":  {"]q\x00h\x00a.", ErrFormat},
		"a dict that holds it":  {"}q\x00X\x01\x00\x00\x00ah\x00s.", ErrFormat},
		"nested deep":           {strings.Repeat("]", 1000) + strings.Repeat("a", 999) + ".", ErrFormat},
		"nested deep in tuples": {"N" + strings.Repeat("\x85", 100000) + ".", ErrFormat},
		"marks":                 {strings.Repeat("(", 1<<16) + ".", ErrFormat},
		"a high stack":          {strings.Repeat("N", 1<<19) + ".", ErrFormat},
		"opcodes without end":   {strings.Repeat("N0", 1<<20) + ".", ErrFormat},
		"doubling":              {bomb, ErrFormat},
		"long paths": {"X\x00\x20\x00\x00" + strings.Repeat("a", 8192) +
			"q\x00cpathlib\nPosixPath\n(h\x00h\x00tR.", ErrFormat},
	} {
		if _, err := parse(withPickle(t, c.pickle)); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}

// What Lightning writes beside tensors becomes data, or is left unread.
func TestReadsWhatLightningWrites(t *testing.T) {
	for name, c := range map[string]struct {
		pickle string
		want   func(v any) bool
	}{
		"namespace": {"cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lr" +
			"G\x3f\xe0\x00\x00\x00\x00\x00\x00sb.",
			func(v any) bool { return v.(*Dict).Get("lr") == 0.5 }},
		"attribute dict": {"clightning.fabric.utilities.data\nAttributeDict\n)\x81" +
			"X\x01\x00\x00\x00aK\x07s}b.",
			func(v any) bool { return v.(*Dict).Get("a") == int64(7) }},
		"defaultdict": {"ccollections\ndefaultdict\nc__builtin__\ndict\n\x85R.",
			func(v any) bool { return len(v.(*Dict).Items) == 0 }},
		"path": {"cpathlib\nPosixPath\n(X\x01\x00\x00\x00aX\x01\x00\x00\x00btR.",
			func(v any) bool { return v == "a/b" }},
		"dtype": {"ctorch\nbfloat16\n.",
			func(v any) bool { return v == Opaque{"torch bfloat16"} }},
		"device": {"ctorch\ndevice\nX\x04\x00\x00\x00cudaK\x00\x86R.",
			func(v any) bool { return v == "cuda" }},
		"size": {"ctorch\nSize\nK\x03\x85\x85R.",
			func(v any) bool { return v.(*Tuple).Items[0] == int64(3) }},
		"numpy scalar": {"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R" +
			"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbc_codecs\nencode\n" +
			"X\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86R\x86R.",
			func(v any) bool { return v == Opaque{"numpy.core.multiarray scalar"} }},
		"negative": {"\x8a\x02\x00\x80.", func(v any) bool { return v == int64(-32768) }},
		"long 0":   {"\x8a\x00.", func(v any) bool { return v == int64(0) }},
	} {
		f, err := parse(withPickle(t, c.pickle))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.want(f.Root) {
			t.Errorf("%s: %#v", name, f.Root)
		}
	}
}
