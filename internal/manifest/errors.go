package manifest

import "errors"

// Sentinels of this package; every returned error that matches one adds the
// file, the line, the value and what to do.
var (
	// ErrNoSource: a file or folder that was asked for does not exist.
	ErrNoSource = errors.New("source not found")
	// ErrEmpty: the sources exist and hold nothing to ingest.
	ErrEmpty = errors.New("nothing to ingest")
	// ErrManifest: a list or a source path is not acceptable.
	ErrManifest = errors.New("invalid manifest")
)
