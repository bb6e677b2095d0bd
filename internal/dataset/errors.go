package dataset

import "errors"

// Sentinels of this package; every returned error that matches one adds the
// file, the value and what to do.
var (
	// ErrNoClips: everything was read and no clip could be kept.
	ErrNoClips = errors.New("no usable clip")
	// ErrSettings: the folder was made with other settings.
	ErrSettings = errors.New("dataset has other settings")
	// ErrLocked: another process is writing to the folder.
	ErrLocked = errors.New("dataset is in use by another process")
	// ErrDiskFull: the disk is full; ingest may be resumed.
	ErrDiskFull = errors.New("disk full")
	// ErrCorrupt: ledger, index or shard contradict each other.
	ErrCorrupt = errors.New("corrupt dataset")
	// ErrNotDataset: the folder holds no finished set.
	ErrNotDataset = errors.New("not a dataset")
)
