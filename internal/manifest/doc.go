// Package manifest lists what there is to ingest: folders of clips, and the lists
// that people have of them, in our own form or as VGGSound, AudioSet and CAV-MAE are
// published.
//
//	list, err := manifest.Read([]string{"vggsound.csv"}, manifest.Options{
//		Media: []string{"/data/vggsound"},
//	})
//	err = list.Select(manifest.Filter{Splits: []string{"test"}, PerClass: 5})
//	for _, e := range list.Entries {
//		fmt.Println(e.Key, e.Path, e.Labels)
//	}
//
// An [Entry] is one clip, or one source to cut into clips; a [Class] is what its
// labels mean. Nothing is decoded here: a path may lead to no file at all, which
// ingest reports. The files of published lists are found by their names, in one walk
// of the media folders. Lists are bounded and checked field by field; an error names
// file, line and column.
package manifest
