package engine

import "errors"

// ErrLost is behind the error of a Group of which a process ended, hangs or cannot
// be reached any more.
var ErrLost = errors.New("a process of the group was lost")

// Group is the processes that train one model together, each with an engine of
// its own. All of them make the same calls in the same order with operands of the
// same shapes. After a fault the calls that return no error do nothing, and what
// they should have set is undefined: Err says so.
type Group interface {
	Rank() int // of this process, 0 … Size−1
	Size() int

	// Average begins to replace x (F32, contiguous), as the operations queued so
	// far leave it, by its mean over the processes: the same bits in all of them.
	// Nothing may touch x before Wait.
	Average(x Tensor)
	// Wait makes every later operation of the engine see the averages begun.
	Wait()
	// Broadcast replaces x (F32, contiguous) by process 0's.
	Broadcast(x Tensor)
	// Exchange returns the bytes of every process, by rank. They may differ in
	// length. It waits for all processes.
	Exchange(mine []byte) ([][]byte, error)
	// Err returns the first fault, nil if there was none.
	Err() error
}
