// Package manifest lists what there is to ingest: folders of clips, and the lists
// that people have of them.
//
//	list, err := manifest.Read([]string{"videos/"}, manifest.Options{})
//	for _, e := range list.Entries {
//		fmt.Println(e.Key, e.Path, e.Labels)
//	}
//
// An [Entry] is one clip, or one source to cut into clips; a [Class] is what its
// labels mean. Nothing is decoded here: a path may lead to no file at all, which
// ingest reports. Lists are bounded and checked field by field; an error names
// file, line and column.
package manifest
