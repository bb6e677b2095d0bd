package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// ReadLeftOut returns the clips that the ledger of a dataset says were left out, by key;
// none when it has no ledger. It takes no lock: of an ingest under way it sees what has
// been written. ErrCorrupt when a line cannot be read.
func ReadLeftOut(ctx context.Context, dir string) ([]LeftOut, error) {
	left := make(map[string]LeftOut)
	var bad error
	err := eachLine(ctx, dir, ledgerFile, func(n int, line []byte) {
		if bad != nil || bytes.Contains(line, []byte(`"clip":{`)) {
			return // kept: it was not left out before, or tried again since
		}
		var l ledgerLine
		err := fmt.Errorf("longer than %d bytes", maxLineBytes)
		if line != nil {
			err = json.Unmarshal(line, &l)
		}
		switch {
		case err != nil:
			bad = fmt.Errorf("dataset: %s: %w: line %d: %w", ledgerFile, ErrCorrupt, n, err)
		case l.Retry:
			clear(left)
		case l.Key != "":
			left[l.Key] = LeftOut{Key: l.Key, Path: l.Source, Start: l.Start, End: l.End,
				Outcome: l.Outcome, Reason: l.Reason}
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errTorn) {
		return nil, err
	}
	rows := make([]LeftOut, 0, len(left))
	for _, l := range left {
		rows = append(rows, l)
	}
	slices.SortFunc(rows, func(a, b LeftOut) int { return cmp.Compare(a.Key, b.Key) })
	return rows, bad
}
