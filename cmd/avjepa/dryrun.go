package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
)

// runPlan is what a run would take: --dry-run.
type runPlan struct {
	Parameters   int     `json:"parameters"`
	Tokens       int     `json:"tokens"` // of a view
	Clips        int     `json:"clips"`
	BatchSize    int     `json:"batch_size"` // clips a step, over all processes
	Processes    int     `json:"processes"`  // sizes and work are those of one
	Steps        int     `json:"steps"`
	TrainedBytes int64   `json:"trained_bytes"` // parameters, gradients, moments
	ActiveBytes  int64   `json:"activation_bytes"`
	ProbeBytes   int64   `json:"probe_bytes,omitempty"` // online probes, their moments and held-out clips
	BatchBytes   int64   `json:"batch_bytes"`           // on the device and ahead of it
	CacheBytes   int64   `json:"cache_bytes"`           // decoded clips
	ShuffleBytes int64   `json:"shuffle_bytes"`         // records of clips to come, in order shards
	WorkBytes    int64   `json:"working_bytes"`         // program, kernels' scratch, garbage
	TotalBytes   int64   `json:"total_bytes"`
	StepFLOPs    int64   `json:"step_flops"`
	AgainFLOPs   int64   `json:"again_flops"` // besides: recompute and micro_batch
	FLOPS        float64 `json:"flops"`       // measured, a second
	EpochSeconds float64 `json:"epoch_seconds"`
	RunSeconds   float64 `json:"run_seconds"`

	Device *devicePlan `json:"device,omitempty"` // of a GPU; then TotalBytes is the host's alone
}

// devicePlan is the memory of a device beside the host's: its share of the bytes
// of a run. What CUDA and its libraries take for themselves is not among them.
type devicePlan struct {
	Name       string `json:"name"`
	TotalBytes int64  `json:"total_bytes"` // of the run
	FreeBytes  int64  `json:"free_bytes"`  // of the device, before the run
	AllBytes   int64  `json:"all_bytes"`   // of the device
}

// planRun counts memory and work of a run and times a few small steps.
func planRun(ctx context.Context, c *config.Config, e engine.Engine, set *dataset.Set) (*runPlan, error) {
	return planProcess(ctx, c, e, set, 1)
}

// planProcess is planRun for one of several processes that share every batch.
func planProcess(ctx context.Context, c *config.Config, e engine.Engine, set *dataset.Set,
	procs int) (*runPlan, error) {
	jc, err := c.JEPAConfig()
	if err != nil {
		return nil, configError(err)
	}
	plan, err := jepa.PlanProcess(jc, c.Train.BatchSize, procs)
	if err != nil {
		return nil, err
	}
	free, all, onDevice := memoryOf(e) // before the steps below take some
	rate, err := measureRate(e, jc)
	if err != nil {
		return nil, err
	}
	inputs := inputBytes(c, jc, plan, c.Train.BatchSize/procs)
	p := &runPlan{
		Parameters: plan.Parameters, Tokens: jc.Tokens(), Clips: set.Len(),
		BatchSize: c.Train.BatchSize, Processes: procs, Steps: c.TrainConfig(set.Len()).Schedule.Steps,
		TrainedBytes: plan.Values + plan.Gradients + plan.Moments, ActiveBytes: plan.Activations,
		BatchBytes: (onDevices(e) + batchesAhead) * inputs,
		StepFLOPs:  plan.StepFLOPs, AgainFLOPs: plan.AgainFLOPs, FLOPS: rate,
	}
	if p.ProbeBytes, err = probeBytes(c, jc, set, c.Train.BatchSize/procs); err != nil {
		return nil, err
	}
	p.CacheBytes = cachedBytes(ctx, c, set, p.Steps, c.Train.BatchSize/procs)
	p.ShuffleBytes = shuffleBytes(c, set, procs)
	p.WorkBytes = workingBytes(batchesAhead*inputs, p.CacheBytes+p.ShuffleBytes, orderBytes(c, set, procs))
	model := plan.Total() - plan.Inputs + p.ProbeBytes
	p.TotalBytes = model + p.BatchBytes + p.CacheBytes + p.ShuffleBytes + p.WorkBytes
	if onDevice {
		p.Device = &devicePlan{Name: e.Info().Device, TotalBytes: model + onDevices(e)*inputs, FreeBytes: free,
			AllBytes: all}
		p.TotalBytes -= p.Device.TotalBytes
	}
	perStep := float64(p.StepFLOPs+p.AgainFLOPs) / rate
	p.EpochSeconds = perStep * float64(loader.StepsPerEpoch(set.Len(), c.Train.BatchSize))
	p.RunSeconds = perStep * float64(p.Steps)
	return p, nil
}

func showPlan(out io.Writer, p *runPlan, asJSON bool) error {
	if asJSON {
		return writeJSON(out, p)
	}
	mb := func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
	again := ""
	if p.AgainFLOPs > 0 {
		again = fmt.Sprintf(" and %.1f again", float64(p.AgainFLOPs)/1e9)
	}
	var rows [][]string
	if p.Processes > 1 {
		rows = [][]string{{"processes, of which each takes", fmt.Sprint(p.Processes)}}
	}
	rows = append(rows, [][]string{
		{"parameters", fmt.Sprint(p.Parameters)},
		{"tokens of a view", fmt.Sprint(p.Tokens)},
		{"clips", fmt.Sprint(p.Clips)},
		{"steps", fmt.Sprintf("%d of %d clips", p.Steps, p.BatchSize)},
		{"parameters, gradients, moments", mb(p.TrainedBytes)},
		{"activations", mb(p.ActiveBytes)},
	}...)
	if p.ProbeBytes > 0 {
		rows = append(rows, []string{"online probes", mb(p.ProbeBytes)})
	}
	rows = append(rows, [][]string{
		{"batches", mb(p.BatchBytes)},
		{"decoded clips kept", mb(p.CacheBytes)},
	}...)
	if p.ShuffleBytes > 0 {
		rows = append(rows, []string{"clips to come", mb(p.ShuffleBytes)})
	}
	rows = append(rows, []string{"program, scratch, garbage", mb(p.WorkBytes)})
	if d := p.Device; d == nil {
		rows = append(rows, []string{"memory in all", mb(p.TotalBytes)})
	} else {
		rows = append(rows, []string{"memory of the host", mb(p.TotalBytes)},
			[]string{"memory of the GPU", fmt.Sprintf("%s of %s free", mb(d.TotalBytes),
				mb(d.FreeBytes))})
	}
	table(out, "lr", append(rows, [][]string{
		{"work of a step", fmt.Sprintf("%.1f GFLOP%s at %.0f GFLOP/s",
			float64(p.StepFLOPs)/1e9, again, p.FLOPS/1e9)},
		{"time of an epoch", spanOf(p.EpochSeconds)},
		{"time of the run", spanOf(p.RunSeconds)},
	}...))
	return nil
}

// measureRate returns the speed in operations a second of the model with one
// block and few clips.
func measureRate(e engine.Engine, jc jepa.Config) (float64, error) {
	const clips = 4
	jc.Encoder.Depth = 1
	plan, err := jepa.PlanTraining(jc, clips)
	if err != nil {
		return 0, err
	}
	seconds, err := stepSeconds(e, jc, clips, time.Second)
	return float64(plan.StepFLOPs+plan.AgainFLOPs) / seconds, err
}

// stepSeconds returns the seconds of the fastest of several steps on empty input,
// made for about the given time, at least two.
func stepSeconds(e engine.Engine, jc jepa.Config, batch int,
	atMost time.Duration) (float64, error) {

	model, err := jepa.New(e, jc, 0, batch)
	if err != nil {
		return 0, err
	}
	defer model.Free()
	in, err := model.NewBatch(engine.U8)
	if err != nil {
		return 0, err
	}
	best := 0.0
	for i, began := 0, time.Now(); i < 2 || i < 100 && time.Since(began) < atMost; i++ {
		t := time.Now()
		model.Step(in, i)
		model.Losses()
		if s := time.Since(t).Seconds(); best == 0 || s < best {
			best = s
		}
	}
	return best, nil
}
