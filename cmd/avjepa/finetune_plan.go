package main

import (
	"context"
	"fmt"
	"io"

	"avjepa/internal/config"
	"avjepa/internal/finetune"
)

// finetunePlan is what a supervised run would take: finetune --dry-run.
type finetunePlan struct {
	Parameters   int     `json:"parameters"`
	Trained      int     `json:"trained"`
	Clips        int     `json:"clips"`
	Validated    int     `json:"validation"`
	Classes      int     `json:"classes"`
	MultiLabel   bool    `json:"multi_label"`
	Without      int     `json:"without_label"`
	BatchSize    int     `json:"batch_size"`
	Views        int     `json:"at_once"` // clips
	Steps        int     `json:"steps"`
	Epochs       int     `json:"epochs"`
	TrainedBytes int64   `json:"trained_bytes"` // parameters, gradients, moments
	ActiveBytes  int64   `json:"activation_bytes"`
	BatchBytes   int64   `json:"batch_bytes"`
	KeptBytes    int64   `json:"feature_bytes"` // 0: the run keeps none
	Kept         string  `json:"features"`
	FLOPS        float64 `json:"flops"` // measured, a second
	OnceSeconds  float64 `json:"once_seconds"`
	EpochSeconds float64 `json:"epoch_seconds"` // with its validation
	RunSeconds   float64 `json:"run_seconds"`
}

// planFinetune counts memory and work of a run and times a few small steps; it writes
// nothing.
func planFinetune(ctx context.Context, c *config.Config, p *progress) (*finetunePlan, error) {
	sets, err := openLabelled(ctx, c, p)
	if err != nil {
		return nil, err
	}
	e, err := openEngine(c)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	model, views, err := c.FinetuneModel(len(sets.labels.Classes))
	if err != nil {
		return nil, configError(err)
	}
	tc := c.FinetuneConfig()
	work, err := finetune.PlanTraining(model, views, tc.BatchSize, tc.Modality)
	if err != nil {
		return nil, err
	}
	jc, err := c.JEPAConfig()
	if err != nil {
		return nil, configError(err)
	}
	rate, err := measureRate(e, jc)
	if err != nil {
		return nil, err
	}
	clips, val, perEpoch := sets.train.Len(), sets.val.Len(), tc.StepsPerEpoch(sets.train.Len())
	view := c.FinetuneView()
	out := &finetunePlan{Parameters: work.Parameters, Trained: work.Trained, Clips: clips,
		Validated: val, Classes: model.Classes, MultiLabel: sets.labels.Multi, Without: sets.without,
		BatchSize: tc.BatchSize, Views: views, Steps: perEpoch * tc.Epochs, Epochs: tc.Epochs,
		TrainedBytes: work.Values + work.Gradients + work.Moments, ActiveBytes: work.Activations,
		BatchBytes: work.Inputs +
			batchesAhead*int64(tc.BatchSize)*int64(view.VideoElems()+4*view.AudioElems()),
		Kept: finetune.KeptNot, FLOPS: rate}
	inputs := float64(len(finetune.Inputs(tc.Modality)))
	judge := float64(val) * inputs * float64(work.EncodeFLOPs)
	epoch := float64(perEpoch)*float64(work.StepFLOPs) + judge
	if tc.Keeps(model) {
		bytes, err := finetune.KeptBytes(model, clips, val, tc.Modality)
		if err != nil {
			return nil, err
		}
		if out.Kept = tc.KeepWhere(bytes); out.Kept != finetune.KeptNot {
			out.KeptBytes = bytes
			out.OnceSeconds = (float64(clips)*float64(work.EncodeFLOPs) + judge) / rate
			epoch = float64(perEpoch) * float64(work.HeadFLOPs) *
				(1 + float64(val)*inputs/3/float64(max(clips, 1))) // a forward is a third
		}
	}
	out.EpochSeconds = epoch / rate
	out.RunSeconds = out.OnceSeconds + out.EpochSeconds*float64(tc.Epochs)
	return out, nil
}

func showFinetunePlan(out io.Writer, p *finetunePlan, asJSON bool) error {
	if asJSON {
		return writeJSON(out, p)
	}
	mb := func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
	labels := "one a clip"
	if p.MultiLabel {
		labels = "any number a clip"
	}
	rows := [][]string{
		{"parameters", fmt.Sprintf("%d, %d of them trained", p.Parameters, p.Trained)},
		{"clips", fmt.Sprintf("%d to train on, %d to validate, %d without a label left out", p.Clips,
			p.Validated, p.Without)},
		{"classes", fmt.Sprintf("%d, %s", p.Classes, labels)},
		{"steps", fmt.Sprintf("%d of %d clips, %d at once, in %d epochs", p.Steps, p.BatchSize, p.Views,
			p.Epochs)},
		{"parameters, gradients, moments", mb(p.TrainedBytes)},
		{"activations", mb(p.ActiveBytes)},
		{"batches", mb(p.BatchBytes)},
	}
	if p.KeptBytes > 0 {
		rows = append(rows, []string{"features kept in " + p.Kept, mb(p.KeptBytes)},
			[]string{"time to make them", spanOf(p.OnceSeconds)})
	}
	table(out, "lr", append(rows, []string{"time of an epoch", spanOf(p.EpochSeconds)},
		[]string{"time of the run", spanOf(p.RunSeconds)}))
	return nil
}
