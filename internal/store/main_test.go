package store_test

import (
	"io"
	"log"
)

// silent is for servers that would complain of what tests do to them.
var silent = log.New(io.Discard, "", 0)
