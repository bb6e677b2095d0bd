package scaling

import (
	"strings"

	"avjepa/internal/jepa"
	"avjepa/internal/nn"
	"avjepa/internal/vit"
)

// Part is a stretch of the network whose gradients are complete together.
type Part struct {
	Name   string
	Values int     // parameters
	FLOPs  float64 // of the backward pass of one clip
}

// Work is what one training step of the base model at the paper's geometry is made
// of, for one clip.
type Work struct {
	Config  jepa.Config
	Values  int     // all parameters
	FLOPs   float64 // by the convention of publications, forward and backward
	Forward float64 // of them
	Parts   []Part  // in the order in which backward leaves them
}

// Count returns the work of the base model, counted on an engine without memory.
func Count() (Work, error) {
	cfg := jepa.Default()
	var err error
	if cfg.Encoder, err = cfg.Encoder.WithSize("base"); err != nil {
		return Work{}, err
	}
	const batch = 2 // BatchNorm's least
	plan, err := jepa.PlanTraining(cfg, batch)
	if err != nil {
		return Work{}, err
	}
	ps := nn.NewParams()
	if _, err := vit.New(ps, "encoder", cfg.Encoder); err != nil {
		return Work{}, err
	}
	values := map[string]int{}
	encoder := ps.Count()
	for _, p := range ps.List() {
		values[partOf(p.Name)] += p.Shape.Elems()
	}
	w := Work{Config: cfg, Values: plan.Parameters, FLOPs: float64(plan.StepFLOPs) / batch}
	w.Parts = append(w.Parts, Part{"projector", plan.Parameters - encoder, projectorFLOPs(cfg)})
	for i := cfg.Encoder.Depth - 1; i >= 0; i-- {
		name := "block " + itoa(i)
		w.Parts = append(w.Parts, Part{name, values[name],
			blockFLOPs(cfg, i == cfg.Encoder.Depth-1)})
	}
	rest := w.FLOPs * 2 / 3
	for _, p := range w.Parts {
		rest -= p.FLOPs
	}
	// The patches have no gradient of their input: half of a layer's backward.
	w.Parts = append(w.Parts, Part{"embedding", values["embedding"], max(rest, 0)})
	w.Forward = w.FLOPs
	for _, p := range w.Parts {
		w.Forward -= p.FLOPs
	}
	return w, nil
}

// partOf returns the part of the encoder that a parameter belongs to.
func partOf(name string) string {
	if _, rest, ok := strings.Cut(name, ".blocks."); ok {
		i, _, _ := strings.Cut(rest, ".")
		return "block " + i
	}
	return "embedding"
}

// blockFLOPs returns the backward pass of one block for all views of a clip: twice
// the forward pass, 24·N·D² + 4·N²·D at MLP ratio 4. The last block makes keys and
// values alone of most tokens: 4·N·D², and the rest for the CLS.
func blockFLOPs(cfg jepa.Config, last bool) float64 {
	e := cfg.Encoder
	n, d, r := float64(e.Tokens()), float64(e.Width), float64(e.MLPRatio)
	forward := (8+4*r)*n*d*d + 4*n*n*d
	if last {
		forward = 4*n*d*d + (4+4*r)*d*d + 4*n*d
	}
	return 2 * forward * float64(cfg.Views())
}

func projectorFLOPs(cfg jepa.Config) float64 {
	d, h, p := float64(cfg.Encoder.Width), float64(cfg.Hidden), float64(cfg.Proj)
	return 2 * 2 * (d*h + h*h + h*p) * float64(cfg.Views())
}

// ECFBytes returns what SIGReg's empirical characteristic functions take, which all
// processes average before backward: V·M·Q·2 float32.
func (w Work) ECFBytes() float64 {
	c := w.Config
	return float64(c.Views() * c.Directions * c.Knots.Count * 2 * 4)
}
