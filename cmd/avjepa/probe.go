package main

import "github.com/spf13/cobra"

func newProbeCommand(g *globals) *cobra.Command {
	c := newSupervised(g, "probe")
	c.Short = "Train classifiers on a frozen encoder"
	c.Long = `Trains a linear head on the CLS and an attentive head on the patch tokens of a
pretrained encoder that stays as it is: finetune with the preset "probe" laid over the
others. Features of all clips are made once, and kept in memory or in a file of the run
folder (finetune.keep_mb, finetune.spill_mb), so that an epoch costs the heads alone.`
	c.Example = `  avjepa probe runs/mine --data data/mine
  avjepa probe runs/mine --data data/esc10 --preset esc10 --cross-validate
  avjepa probe runs/mine --data data/vggsound --set finetune.attentive=false \
      --set finetune.select=linear`
	return c
}
