// Package library keeps clips and their embeddings where they can be searched: a picture by
// a sound, a sound by a picture, either by its own kind.
//
// A library is a folder with library.db, an SQLite file, in it: the clips, the files that were
// left out and why, the embeddings of one or several models, and what chance scores with each.
// Opened, it also holds the embeddings of one model in memory and compares a query with every
// one of them: no index that approximates, so what is found is what is nearest. Or a server has
// them (Remote), and what it finds is as near as its index is good.
//
//	l, err := library.Open("library", library.Options{})
//	defer l.Close()
//	hits, err := l.Search(ctx, library.Query{Vector: sound, From: library.Audio,
//		In: library.Video, K: 10})
//	hits[0].Percentile // 99.4: closer than 99.4 % of random pairs
//
// Its words: a clip is what was kept, left out what was not. An entry is a clip with its
// vectors. A direction is the modality of the query and that of what is searched. The null
// distribution of a direction are the scores of random pairs of different clips, and its
// chance line the score that one in twenty of them reaches.
//
// A *Library may be used by many goroutines at once. One process at a time opens a folder
// for writing; others may read meanwhile, and see what is new after Refresh.
package library
