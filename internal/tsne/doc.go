// Package tsne lays out rows of many features in a plane so that near ones stay near:
// t-SNE with the Barnes–Hut approximation. What lies far apart in the plane may be near
// in truth; distances between groups and their sizes say nothing.
//
//	y, err := tsne.Embed(ctx, x, tsne.Config{Seed: 1}, nil) // (n, 2)
//
// The same rows, configuration and processor give the same bits, whatever the number of
// threads.
//
// There is no t-SNE in Go that is kept and fast enough: gonum's Barnes–Hut plane would
// walk the tree twice, for the forces and for their normalisation.
//
// Source: van der Maaten, Accelerating t-SNE using tree-based algorithms, JMLR 15
// (2014); Kobak & Berens, The art of using t-SNE, Nature Communications 10 (2019) for
// the start from principal components and the learning rate.
package tsne
