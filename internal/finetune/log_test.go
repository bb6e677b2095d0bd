package finetune

import (
	"os"
	"path/filepath"
	"testing"
)

// A log's last line may be cut short, as by a crash; no other may be broken.
func TestReadLog(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, `{"step":1,"loss":2}` + "\n": 1,
		`{"step":1}` + "\n" + `{"step":2,"lo`:                     1,
		`{"step":1}` + "\n" + `{"st` + "\n" + `{"step":3}` + "\n": -1,
		`{"step":"one"}` + "\n" + `{"step":2}`:                    -1,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, stepsName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		log, err := ReadSteps(dir)
		if (err != nil) != (want < 0) || err == nil && len(log) != want {
			t.Errorf("%q: %d steps, %v", text, len(log), err)
		}
	}
	if _, err := ReadEpochs(t.TempDir()); !os.IsNotExist(err) {
		t.Errorf("no log gives %v", err)
	}
}
