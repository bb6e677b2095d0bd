package main

import (
	"github.com/spf13/pflag"

	"avjepa/internal/manifest"
)

// listOptions are the flags of ingest about its sources: how they are read, and
// which of their clips are wanted.
type listOptions struct {
	format       string
	media        []string
	classes      string
	ontology     string
	families     string
	wholeVideos  bool
	unlabelled   bool
	allowOutside bool
	defaultSplit string

	labels   []string
	splits   []string
	perClass int
	limit    int
	seed     uint64
}

func (o *listOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.format, "format", "",
		"form of the lists: csv, jsonl, vggsound, audioset or cavmae; empty: as they look")
	f.StringArrayVar(&o.media, "media", nil,
		"folder with the files of published lists, their own if not given; may be repeated")
	f.StringVar(&o.classes, "classes", "",
		"class_labels_indices.csv: classes, names and their order; looked for beside AudioSet's lists")
	f.StringVar(&o.ontology, "ontology", "",
		"ontology.json: families of the classes; looked for beside AudioSet's lists")
	f.StringVar(&o.families, "families", "",
		"vggsound_stat.csv: families of the labels; looked for beside VGGSound's lists")
	f.BoolVar(&o.wholeVideos, "whole-videos", false,
		"files with the name of the video alone are whole videos: cut them at the listed times")
	f.BoolVar(&o.unlabelled, "unlabelled", false, "names of folders are no labels")
	f.BoolVar(&o.allowOutside, "allow-outside", false,
		"accept paths of a list, and links, that lead out of its folder")
	f.StringVar(&o.defaultSplit, "default-split", "",
		"split of clips whose list gives none; drawn if empty")
	f.StringArrayVar(&o.labels, "label", nil,
		"only clips with this label, by id or name; may be repeated")
	f.StringArrayVar(&o.splits, "split", nil, "only clips of this split; may be repeated")
	f.IntVar(&o.perClass, "per-class", 0,
		"only so many clips of every class, drawn as the published subsets are; 0 for all")
	f.IntVar(&o.limit, "limit", 0,
		"only so many of the clips that have a file, drawn at random; 0 for all")
	f.Uint64Var(&o.seed, "seed", 0, "seed of --per-class and --limit")
}

// read reads the sources.
func (o *listOptions) read(sources []string) (manifest.List, error) {
	format := manifest.Format(o.format)
	if err := manifest.CheckFormat(format); err != nil {
		return manifest.List{}, usageError(err)
	}
	list, err := manifest.Read(sources, manifest.Options{
		AllowOutside: o.allowOutside, Format: format, Unlabelled: o.unlabelled, Split: o.defaultSplit,
		Media: o.media, WholeVideos: o.wholeVideos,
		Classes: o.classes, Ontology: o.ontology, Families: o.families,
	})
	if err != nil {
		return list, err
	}
	return list, list.Select(manifest.Filter{Labels: o.labels, Splits: o.splits,
		PerClass: o.perClass, Limit: o.limit, Seed: o.seed})
}
