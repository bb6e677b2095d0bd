package library

import (
	"errors"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// What an error of the database is about.
const (
	faultOther = iota
	faultFull
	faultDamage
)

// kindOf tells a full disk and a damaged file from other errors.
func kindOf(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return faultOther
	}
	switch e.Code() & 0xff {
	case codes.SQLITE_FULL:
		return faultFull
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return faultDamage
	}
	return faultOther
}
