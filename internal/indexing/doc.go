// Package indexing embeds files and stored clips with a trained encoder, one after the other
// and as many at once as the machine has room for: into a library, or wherever the caller
// wants the vectors.
//
//	items, err := indexing.Files([]string{"videos/"})
//	sum, err := indexing.Run(ctx, indexing.Config{Library: l, Encoder: x, Tools: tools, Items: items})
//
// An item is a file or a stored clip. What cannot be read is left out with its reason, and
// the others go on.
package indexing
