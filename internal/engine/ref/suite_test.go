package ref_test

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/enginetest"
	"avjepa/internal/engine/ref"
)

// TestSuite runs the conformance suite on the reference itself: it passes with
// memory that no one can look into.
func TestSuite(t *testing.T) {
	enginetest.Options{BF16: true}.Run(t, func(t *testing.T) engine.Engine { return ref.New() })
}
