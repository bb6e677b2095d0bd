// Package dataset turns source files into shards and reads clips from them.
//
// Ingest decodes the entries of a manifest into clips and appends them to WebDataset
// tar shards; Open reads the finished set.
//
//	list, err := manifest.Read([]string{"videos/"}, manifest.Options{})
//	cfg := dataset.DefaultIngestConfig()
//	cfg.Dir, cfg.Entries, cfg.Classes = "data/", list.Entries, list.Classes
//	cfg.Decoder = tools
//	summary, err := dataset.Ingest(ctx, cfg)
//
//	set, err := dataset.Open("data/")
//	var clip dataset.Clip
//	for i := range set.Len() {
//		err := set.Read(ctx, i, &clip) // clip.Frames, clip.Samples
//	}
//
// A dataset folder holds
//
//	dataset.json      the settings it was made with
//	classes.json      the classes, in order, that a list brought
//	ledger.jsonl      the outcome of every clip and file, in order of ingest
//	shard-000000.tar  clips: key.json, key.wav, key.0000.jpg …
//	index.jsonl       where every kept clip lies, by key; written at the end
//	left-out.csv      every clip that is not in the set, with the reason
//
// The ledger is the truth: a clip exists when its line has been synced, and the
// line is written after the clip's bytes in the shard have been synced. Bytes of
// a shard behind the last ledgered clip are a torn tail and are cut off when
// ingest is resumed. So a process killed at any instant loses nothing that the
// ledger names and writes nothing twice.
package dataset
