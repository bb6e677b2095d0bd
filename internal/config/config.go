// Package config holds every setting of a run: Go defaults, presets, files,
// environment and flags laid over each other, each value with its origin.
//
//	c := config.New()
//	err := c.ApplyPreset("demo")
//	err = c.Set("train.lr", "3e-4", "flag")
//	err = c.Validate()
//
// Keys are the TOML tags joined by dots: train.batch_size. Defaults are the
// published choices; preset "recommended" has ours where they differ.
package config

import "avjepa/internal/probe"

// Config is all settings. Field tags are the keys.
type Config struct {
	Seed int64 `toml:"seed" doc:"run seed: the same seed gives the same run"`

	Engine  Engine  `toml:"engine"`
	Data    Data    `toml:"data"`
	View    View    `toml:"view"`
	Augment Augment `toml:"augment"`
	Mask    Mask    `toml:"mask"`
	Model   Model   `toml:"model"`
	Project Project `toml:"projector"`
	Loss    Loss    `toml:"loss"`
	Train   Train   `toml:"train"`
	Probe   Probe   `toml:"probe"`
	Eval    Eval    `toml:"eval"`

	Finetune Finetune `toml:"finetune"`

	origins map[string]string
}

// Engine chooses what computes.
type Engine struct {
	Name      string `toml:"name" doc:"cpu, or torch: libtorch, after avjepa engine build"`
	Device    string `toml:"device" doc:"of torch: cpu, cuda, cuda:1 or auto; empty for cpu"`
	Precision string `toml:"precision" doc:"of the encoder's products: f32, or bf16 where the engine has it"`
	Threads   int    `toml:"threads" doc:"worker threads, 0 for this process's share of the cores"`

	GroupTimeout int `toml:"group_timeout" doc:"seconds that processes wait for each other"`
}

// Engines, and precisions of their products.
const (
	EngineCPU     = "cpu"
	EngineTorch   = "torch"
	PrecisionF32  = "f32"
	PrecisionBF16 = "bf16"
)

// Data chooses the clips.
type Data struct {
	Dir     string `toml:"dir" doc:"folder written by avjepa ingest"`
	Split   string `toml:"split" doc:"split to train on; empty for all clips"`
	CacheMB int    `toml:"cache_mb" doc:"memory for decoded clips, 0 to decode each time"`
	Workers int    `toml:"workers" doc:"goroutines that make views, 0 for one per core"`

	Order     string `toml:"order" doc:"clips: each at random; shards: long reads, for slow disks and stores; empty chooses"`
	Lanes     int    `toml:"lanes" doc:"shards read side by side, dividing the batch, 0 to choose; order shards"`
	ShuffleMB int    `toml:"shuffle_mb" doc:"memory of all lanes, of which clips are drawn; order shards"`
	Sampling  string `toml:"sampling" doc:"uniform: every clip once an epoch; balanced: all labels alike; order clips"`
}

// Orders of the clips of an epoch, and how they are sampled.
const (
	OrderClips       = "clips"
	OrderShards      = "shards"
	SamplingUniform  = "uniform"
	SamplingBalanced = "balanced"
)

// View says how views are cut from a clip.
type View struct {
	Globals   int     `toml:"globals" doc:"G: views with both modalities"`
	Locals    int     `toml:"locals" doc:"K: views with one modality, audio-only first"`
	Seconds   float64 `toml:"seconds" doc:"length of the window of a view"`
	Frames    int     `toml:"frames" doc:"frames of a view, evenly spaced over the window"`
	Side      int     `toml:"side" doc:"pixels of a side of a view"`
	Resize    int     `toml:"resize" doc:"short side before the centre crop of global views"`
	Windows   string  `toml:"windows" doc:"per-view, shared (two, dealt out) or one"`
	LocalCrop bool    `toml:"local_crop" doc:"random resized crop on local views"`
	CropMin   float64 `toml:"crop_min" doc:"smallest area of the crop, share of the frame"`
	CropMax   float64 `toml:"crop_max" doc:"largest area of the crop"`
	RatioMin  float64 `toml:"ratio_min" doc:"narrowest crop, width over height"`
	RatioMax  float64 `toml:"ratio_max" doc:"widest crop"`
	Flip      float64 `toml:"flip" doc:"probability of a horizontal flip"`
	BoxLeft   float64 `toml:"box_left" doc:"fixed crop before everything, share of width"`
	BoxTop    float64 `toml:"box_top" doc:"share of height"`
	BoxRight  float64 `toml:"box_right" doc:"share of width"`
	BoxBottom float64 `toml:"box_bottom" doc:"share of height"`
	MelBands  int     `toml:"mel_bands" doc:"F: mel filters over 0 to 8000 Hz"`
	MelMean   float64 `toml:"mel_mean" doc:"dB, subtracted; from avjepa data stats"`
	MelStd    float64 `toml:"mel_std" doc:"dB, divided by"`
}

// Augment alters what all training views show; all 0, none of it, in the
// published runs.
type Augment struct {
	Jitter   float64 `toml:"jitter" doc:"brightness, contrast and saturation times 1 ± jitter each"`
	Grey     float64 `toml:"grey" doc:"probability that colours are removed"`
	Blur     float64 `toml:"blur" doc:"probability of a Gaussian blur"`
	Solarise float64 `toml:"solarise" doc:"probability that bright pixels are inverted"`
	GainDB   float64 `toml:"gain_db" doc:"dB; the log-mel is shifted by up to this, either way"`
	Noise    float64 `toml:"noise" doc:"most that is added to the normalised log-mel"`
}

// Mask is modality dropout and masking of local views, which then have both
// modalities; all off in the published runs.
type Mask struct {
	Enabled      bool    `toml:"enabled" doc:"turn the options below on"`
	DropP        float64 `toml:"drop_p" doc:"probability that a view loses one modality"`
	TubeArea     float64 `toml:"tube_area" doc:"share of the patch grid one block covers"`
	FreqBands    int     `toml:"freq_bands" doc:"largest frequency mask, mel bands"`
	TimeFrames   int     `toml:"time_frames" doc:"largest time mask, log-mel frames"`
	KeepSurvivor bool    `toml:"keep_survivor" doc:"leave the only modality of a view unmasked"`
}

// Model is the encoder.
type Model struct {
	Encoder          string  `toml:"encoder" doc:"shared by both modalities, or dual: one for each"`
	Size             string  `toml:"size" doc:"tiny, small, base or large; sets width, depth, heads"`
	Width            int     `toml:"width" doc:"D; 0 takes it from size"`
	Depth            int     `toml:"depth" doc:"blocks; 0 takes it from size"`
	Heads            int     `toml:"heads" doc:"A; 0 takes it from size"`
	MLPRatio         int     `toml:"mlp_ratio" doc:"hidden width of the MLP over D"`
	PatchFrames      int     `toml:"patch_frames" doc:"frames of a tubelet"`
	Patch            int     `toml:"patch" doc:"pixels of a side of a tubelet"`
	PatchMel         int     `toml:"patch_mel" doc:"mel bands of an audio patch"`
	PatchMelFrames   int     `toml:"patch_mel_frames" doc:"log-mel frames of an audio patch"`
	Dropout          float64 `toml:"dropout" doc:"after embedding, attention and MLP"`
	AttentionDropout float64 `toml:"attention_dropout" doc:"on attention probabilities"`
	EmbedNorm        bool    `toml:"embed_norm" doc:"LayerNorm after the embedding"`
	FinalNorm        bool    `toml:"final_norm" doc:"LayerNorm after the last block"`
	InitStd          float64 `toml:"init_std" doc:"standard deviation of initial weights"`
	Absent           string  `toml:"absent" doc:"absent modality's tokens: zero keeps, drop removes"`
}

// Project is the projector.
type Project struct {
	Hidden  int     `toml:"hidden" doc:"width of its two hidden layers"`
	Out     int     `toml:"out" doc:"K: dimensions of a projection"`
	InitStd float64 `toml:"init_std" doc:"0 for uniform ±1/√fan-in, else normal weights"`
}

// Loss is the objective.
type Loss struct {
	Lambda     float64 `toml:"lambda" doc:"λ: weight of SIGReg; 1−λ weighs the prediction loss"`
	Invariance string  `toml:"invariance" doc:"mean or sum over the dimensions of a projection"`
	SIGReg     string  `toml:"sigreg" doc:"per-view or pooled"`
	Directions int     `toml:"directions" doc:"M: random directions a step"`
	Knots      int     `toml:"knots" doc:"Q: points of the characteristic function"`
	TMax       float64 `toml:"tmax" doc:"knots lie on [−tmax, tmax]"`
	Half       bool    `toml:"half" doc:"knots on [0, tmax], doubled"`
}

// Train is the optimisation.
type Train struct {
	Init            string  `toml:"init" doc:"run or checkpoint whose weights a new run starts from"`
	BatchSize       int     `toml:"batch_size" doc:"B: clips a step, over all processes"`
	Epochs          int     `toml:"epochs" doc:"passes over the clips, unless steps is set"`
	Steps           int     `toml:"steps" doc:"optimiser steps; 0 takes epochs"`
	LR              float64 `toml:"lr" doc:"peak learning rate"`
	MinLR           float64 `toml:"min_lr" doc:"learning rate at the end of the cosine"`
	Warmup          float64 `toml:"warmup" doc:"share of the steps that warms up"`
	WarmupStart     float64 `toml:"warmup_start" doc:"first learning rate over lr"`
	Beta1           float64 `toml:"beta1"`
	Beta2           float64 `toml:"beta2"`
	Eps             float64 `toml:"eps"`
	WeightDecay     float64 `toml:"weight_decay"`
	Decay           string  `toml:"decay" doc:"all parameters, or weights only"`
	Clip            float64 `toml:"clip" doc:"largest gradient norm; 0 for no bound"`
	CheckpointEvery int     `toml:"checkpoint_every" doc:"steps; 0 for the end of each epoch"`
	Keep            int     `toml:"keep" doc:"checkpoints kept"`
	Recompute       string  `toml:"recompute" doc:"none; blocks keeps their inputs only, less memory"`
	MicroBatch      int     `toml:"micro_batch" doc:"clips encoded at once, 0 for all; same gradients"`
	BatchNorm       string  `toml:"batch_norm" doc:"process: each normalises by its own clips; or global"`
}

// Probe is the classifiers that learn beside the encoder, from its features alone, and
// show how a run is doing. The clips need labels.
type Probe struct {
	Online    bool    `toml:"online" doc:"train classifiers beside the encoder, which they do not change; needs labels"`
	Attentive bool    `toml:"attentive" doc:"one on the patch tokens too, which takes more memory and work"`
	LR        float64 `toml:"lr" doc:"their peak learning rate"`
	Every     int     `toml:"every" doc:"steps between evaluations on held-out clips; 0 for the end of each epoch"`
	Split     string  `toml:"split" doc:"split of the held-out clips; empty for eval.split"`
	Clips     int     `toml:"clips" doc:"most held-out clips that are evaluated, drawn by the seed; 0 for all"`
}

// Eval says how clips are embedded for retrieval and probes.
type Eval struct {
	Split     string `toml:"split" doc:"split of the held-out clips"`
	Windows   int    `toml:"windows" doc:"windows of a clip whose embeddings are averaged"`
	Embedding string `toml:"embedding" doc:"projected, cls or patches"`
	Samples   int    `toml:"samples" doc:"held-out clips whose neighbours are written beside checkpoints"`
	Squash    bool   `toml:"squash" doc:"squeeze the whole frame into the view, not its centre"`
}

// Finetune trains classifiers on a pretrained encoder: finetune and probe.
type Finetune struct {
	BatchSize   int     `toml:"batch_size" doc:"clips a step"`
	MicroBatch  int     `toml:"micro_batch" doc:"clips at once, 0 for all; same gradients"`
	Epochs      int     `toml:"epochs" doc:"passes over the clips; the best one is kept"`
	LR          float64 `toml:"lr" doc:"peak learning rate of the heads"`
	BackboneLR  float64 `toml:"backbone_lr" doc:"of the encoder, over that of the heads; 0 freezes it"`
	MinLR       float64 `toml:"min_lr" doc:"learning rate at the end of the cosine"`
	Warmup      float64 `toml:"warmup" doc:"share of the steps that warms up"`
	WarmupStart float64 `toml:"warmup_start" doc:"first learning rate over lr"`
	WeightDecay float64 `toml:"weight_decay" doc:"of the encoder"`
	HeadDecay   float64 `toml:"head_decay" doc:"of the heads"`
	Clip        float64 `toml:"clip" doc:"largest gradient norm; 0 for no bound"`
	Attentive   bool    `toml:"attentive" doc:"besides the linear head one on the patch tokens"`
	Labels      string  `toml:"labels" doc:"single: one class a clip; multi: any number; auto: as the clips have them"`
	Smoothing   float64 `toml:"smoothing" doc:"of labels, with one class a clip"`
	PosWeight   bool    `toml:"pos_weight" doc:"with several classes a clip, positives weigh negatives/positives"`
	Modality    string  `toml:"modality" doc:"both, audio or video: what clips show"`
	Views       string  `toml:"views" doc:"train: drawn anew each epoch; eval: the evaluation view"`
	Mixup       float64 `toml:"mixup" doc:"probability that a clip is mixed with another"`
	MixupAlpha  float64 `toml:"mixup_alpha" doc:"shares are drawn from Beta(α, α)"`
	FreqBands   int     `toml:"freq_bands" doc:"largest frequency mask, mel bands"`
	TimeFrames  int     `toml:"time_frames" doc:"largest time mask, log-mel frames"`
	Sampling    string  `toml:"sampling" doc:"uniform: every clip once an epoch; balanced: all labels alike"`
	Select      string  `toml:"select" doc:"head by which the best epoch is known: attentive or linear"`
	HoldOut     string  `toml:"hold_out" doc:"split to validate on, training on all others; empty: data.split and eval.split"`
	KeepMB      int     `toml:"keep_mb" doc:"memory for the features of a frozen encoder"`
	SpillMB     int     `toml:"spill_mb" doc:"largest file of them in the run folder; beyond, they are made each epoch"`
}

// What finetune.labels and finetune.views may be.
const (
	LabelsAuto   = "auto"
	LabelsSingle = "single"
	LabelsMulti  = "multi"
	ViewsTrain   = "train"
	ViewsEval    = "eval"
)

// New returns the defaults: the published choices on the paper's geometry.
func New() *Config {
	return &Config{
		Engine: Engine{Name: EngineCPU, Precision: PrecisionF32, GroupTimeout: 600},
		Data:   Data{Split: "train", CacheMB: 4096, ShuffleMB: 1024, Sampling: SamplingUniform},
		View: View{
			Globals: 2, Locals: 2, Seconds: 8, Frames: 16, Side: 224, Resize: 256,
			Windows: "per-view", LocalCrop: true, CropMin: 0.4, CropMax: 1,
			RatioMin: 0.75, RatioMax: 4.0 / 3, Flip: 0.5, BoxRight: 1, BoxBottom: 1,
			MelBands: 128, MelMean: -20.437003, MelStd: 24.496246,
		},
		Mask: Mask{DropP: 0.5, TubeArea: 0.8, FreqBands: 64, TimeFrames: 400},
		Model: Model{
			Encoder: "shared", Size: "base", MLPRatio: 4, PatchFrames: 2, Patch: 16, PatchMel: 16, PatchMelFrames: 16,
			Dropout: 0.1, AttentionDropout: 0.1, EmbedNorm: true, InitStd: 0.02, Absent: "zero",
		},
		Project: Project{Hidden: 2048, Out: 128},
		Loss: Loss{
			Lambda: 0.05, Invariance: "mean", SIGReg: "per-view", Directions: 2048, Knots: 17, TMax: 5,
		},
		Train: Train{
			BatchSize: 40, Epochs: 50, LR: 5e-4, MinLR: 1e-6, Warmup: 0.15, WarmupStart: 0.1,
			Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.05, Decay: "all", Clip: 5, Keep: 2,
			Recompute: "none", BatchNorm: "process",
		},
		Probe: Probe{Attentive: true, LR: probe.OnlineLR, Clips: 512},
		Eval:  Eval{Split: "test", Windows: 1, Embedding: "projected", Samples: 64},
		Finetune: Finetune{
			BatchSize: 320, Epochs: 13, LR: 2e-4, BackboneLR: 0.05, MinLR: 1e-7, Warmup: 0.05,
			WarmupStart: 0.1, WeightDecay: 0.05, Clip: 1, Attentive: true, Labels: LabelsAuto,
			Smoothing: 0.1, Modality: "both", Views: ViewsTrain, MixupAlpha: 10,
			Sampling: SamplingUniform, Select: "attentive", KeepMB: 2048, SpillMB: 65536,
		},
		origins: map[string]string{},
	}
}
