package rng

// Mask is a dropout mask laid over a tensor of sequences: an element is kept and
// divided by 1−P, or set to 0, as the bits of its row and column say. The zero
// Mask drops nothing.
type Mask struct {
	P    float64 // probability of being dropped, in [0, 1)
	Key  Key
	Rows MaskRows
}

// MaskRows says which rows of a mask belong to a tensor of sequences, so that
// the masks of a batch do not depend on how it is cut: a tensor of clips a to
// a+m−1 of every view, of a batch of B clips laid out view after view, has
// First a, Run m and Stride B. The zero MaskRows is that of a whole batch.
type MaskRows struct {
	First  int // sequence of the mask that is the tensor's first
	Run    int // sequences that follow each other in both; 0 for all
	Stride int // between the starts of runs, in sequences of the mask
	Tokens int // of a sequence of the mask; 0 for the tensor's
}

// Start returns the first row of the mask that belongs to sequence s of the
// tensor, where a sequence has the given number of rows.
func (m MaskRows) Start(s, rows int) int {
	if m.Run > 0 {
		s = s/m.Run*m.Stride + s%m.Run
	}
	return (m.First + s) * rows
}

// Of returns the tokens of a sequence of the mask, for a tensor with so many:
// more than those when the tensor has only the first ones of every sequence.
func (m MaskRows) Of(tokens int) int {
	if m.Tokens > 0 {
		return m.Tokens
	}
	return tokens
}
