package scaling

import (
	"errors"
	"fmt"
)

// Assumptions are what the reckoning takes for granted. Seconds are float64: they
// are arithmetic, not clocks.
type Assumptions struct {
	Clips        int     // of a step and GPU
	MatMul       float64 // FLOP/s of a large bf16 product
	ComputeShare float64 // of MatMul that a whole step reaches
	GradBytes    int     // of a gradient value on the wire: 4 float32, 2 bf16
	BucketBytes  int
	PerNode      int

	NVLink     float64 // bytes/s that a GPU sends within its node, reached
	NVLinkHop  float64 // seconds of one step of a ring within a node
	Network    float64 // bytes/s that a GPU sends to other nodes, reached
	NetworkHop float64 // seconds of one step of a ring between nodes
	Launch     float64 // seconds to begin an exchange
	Contention float64 // share by which computation is slower during an exchange

	HostHop     float64 // seconds of one step of a ring of hosts, over TCP
	MetricsWait bool    // false: the metrics of a step are fetched during the next
	Spread      float64 // deviation of a process's time for a step, of its mean
	StallChance float64 // of a GPU in a step
	StallLength float64 // seconds
	GPUHours    float64 // of work between two failures of a GPU or its node
	Restart     float64 // seconds from a failure to the first step again
	Save        float64 // seconds that a checkpoint stops the step for

	FrameBytes  float64 // of a stored frame of 224 × 224, tar included
	PixelRatio  float64 // pixels of a stored frame by 224 × 224
	Frames      int     // of a stored clip
	SoundBytes  float64 // of a stored clip
	IndexBytes  float64 // of a clip's line
	ViewSeconds float64 // of a core for a clip's views, frames of 224 × 224
	ShardBytes  float64
	Stream      float64 // bytes/s of one request to the store
	FirstByte   float64 // seconds until a request's first byte
	Corpus      float64 // clips
}

// Default returns the assumptions of docs/scaling.md.
func Default() Assumptions {
	return Assumptions{
		Clips: 40, MatMul: 790e12, ComputeShare: .45, GradBytes: 4, BucketBytes: 25 << 20, PerNode: 8,
		NVLink: 360e9, NVLinkHop: 2e-6, Network: 40e9, NetworkHop: 6e-6, Launch: 20e-6,
		Contention: .1,
		HostHop:    30e-6, MetricsWait: true, Spread: .01, StallChance: 1e-4, StallLength: .1,
		GPUHours: 50e3, Restart: 300, Save: 3,
		FrameBytes: 9279, PixelRatio: 256 * 456 / (224. * 224), Frames: 80, SoundBytes: 10 * 16000 * 2,
		IndexBytes: 242, ViewSeconds: .012, ShardBytes: 1 << 30, Stream: 85e6, FirstByte: .1,
		Corpus: 100e6,
	}
}

// Assumption is one row of the page's table.
type Assumption struct{ What, Value, Source string }

// List returns every assumption with its value and where it is from.
func (a Assumptions) List() []Assumption {
	return []Assumption{
		{"clips a GPU and step", fmt.Sprint(a.Clips), "paper: AudioSet, 40 × 8"},
		{"bf16 product, n = 8192", fmt.Sprintf("%.0f TFLOP/s", a.MatMul/1e12),
			"measured on one H200 before this project; `bench/gpu.sh` measures it again"},
		{"share of it that a step reaches", percent(a.ComputeShare),
			"assumed; 40 and 50 % in the table of what changes"},
		{"bytes of a gradient value on the wire", fmt.Sprint(a.GradBytes), "float32, as stored"},
		{"bucket", size(float64(a.BucketBytes)), "assumed; PyTorch's usual one"},
		{"GPUs a node", fmt.Sprint(a.PerNode), "assumed: HGX H200"},
		{"a GPU's NVLink, one way", rate(a.NVLink), "450 GB/s in the data sheet, 80 % assumed"},
		{"one step of a ring, NVLink", micros(a.NVLinkHop), "assumed"},
		{"a GPU's network, one way", rate(a.Network),
			"InfiniBand NDR, one 400 Gbit/s port a GPU (50 GB/s), 80 % assumed"},
		{"one step of a ring, network", micros(a.NetworkHop), "assumed"},
		{"begin of an exchange", micros(a.Launch), "assumed"},
		{"computation slowed during an exchange", percent(a.Contention),
			"assumed: NCCL's kernels take some of the processors and of the memory's bandwidth"},
		{"one step of a ring of hosts, TCP", micros(a.HostHop), "assumed"},
		{"metrics", waits(a.MetricsWait), "assumed, the worse case"},
		{"spread of a process's step time", percent(a.Spread) + " of it, normal",
			"assumed: clocks, temperature, the system's other work"},
		{"stalls", fmt.Sprintf("%.2g s, once in %s steps of a GPU", a.StallLength,
			three(1/a.StallChance)),
			"assumed: a late batch, a page fault, a retransmission"},
		{"work between failures", three(a.GPUHours) + " GPU hours",
			"Llama 3 (arXiv:2407.21783, section 3.3.4): 419 in 54 days of 16 384 GPUs"},
		{"restart after a failure", fmt.Sprintf("%.0f s", a.Restart), "assumed"},
		{"a checkpoint stops the step for", fmt.Sprintf("%.0f s", a.Save),
			"assumed: 1.1 GB, 0.4 GB/s"},
		{"a stored frame of 224 × 224", fmt.Sprintf("%.0f bytes", a.FrameBytes),
			"measured: 17 clips of mixed films, JPEG quality 90, tar headers and padding included; " +
				"3.9 to 18.5 kB by clip"},
		{"pixels of a stored frame by those", fmt.Sprintf("%.2f", a.PixelRatio),
			"16 : 9 at short side 256; bytes and decoding assumed to grow with them"},
		{"frames of a clip", fmt.Sprint(a.Frames), "10 s at 8 a second, `avjepa ingest`'s default"},
		{"sound of a clip", size(a.SoundBytes), "10 s, 16 kHz, 16 bits"},
		{"a clip's line in the index", fmt.Sprintf("%.0f bytes", a.IndexBytes), "measured, same clips"},
		{"views of a clip, from JPEG of 224 × 224", fmt.Sprintf("%.3f s of a core", a.ViewSeconds),
			"measured: 7.8–11.5 ms at 298 × 224 ([benchmarks.md](benchmarks.md#loader))"},
		{"shard", size(a.ShardBytes), "`avjepa ingest`'s default"},
		{"one request's stream from the store", rate(a.Stream),
			"Amazon S3, performance guidelines: 85 to 90 MB/s a request"},
		{"until its first byte", fmt.Sprintf("%.0f ms", 1000*a.FirstByte),
			"Amazon S3, performance guidelines: 100 to 200 ms"},
		{"corpus", fmt.Sprintf("%.0f million clips", a.Corpus/1e6), "the question asked"},
	}
}

func waits(b bool) string {
	if b {
		return "exchanged every step, waited for"
	}
	return "fetched during the next step"
}

// Validate returns every fault of what the command lets change, joined.
func (a Assumptions) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("scaling: "+format, args...))
		}
	}
	check(a.Clips >= 2, "%d clips a GPU: BatchNorm needs 2", a.Clips)
	check(a.ComputeShare > 0 && a.ComputeShare <= 1, "share %g is not in (0, 1]", a.ComputeShare)
	check(a.Network > 0, "network of %g bytes/s: want more than 0", a.Network)
	check(a.BucketBytes > 0, "bucket of %d bytes: want more than 0", a.BucketBytes)
	check(a.GradBytes == 4 || a.GradBytes == 2, "%d bytes of a gradient: want 4 or 2", a.GradBytes)
	check(a.Spread >= 0 && a.Spread < 1, "spread %g is not in [0, 1)", a.Spread)
	return errors.Join(errs...)
}
