package scaling

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/scaling.md anew")

const page = "../../docs/scaling.md"

// The page's tables, between marks as <!-- volume -->, are those of the program.
func TestDocsHaveTheTables(t *testing.T) {
	was, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(was)
	for _, x := range Tables(counted(t), Default()) {
		begin, end := "<!-- "+x.Name+" -->\n", "<!-- /"+x.Name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		between, behind, closed := strings.Cut(rest, end)
		if !ok || !closed || strings.Count(text, begin) != 1 {
			t.Errorf("want one %s and a %s behind it", strings.TrimSpace(begin), end)
			continue
		}
		if between != x.Text && !*update {
			t.Errorf("table %s is not as the program has it: "+
				"go test ./internal/scaling -run Docs -update", x.Name)
		}
		text = before + begin + x.Text + end + behind
	}
	if *update && text != string(was) {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
