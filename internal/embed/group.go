package embed

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// share returns the bounds lo…hi−1 of the clips that this process embeds, of n.
// Ranges follow each other in the order of ranks and differ by one clip at most.
func share(n int, g engine.Group) (lo, hi int) {
	if g == nil {
		return 0, n
	}
	return n * g.Rank() / g.Size(), n * (g.Rank() + 1) / g.Size()
}

// part is what one process hands to the others.
type part struct {
	Index   []int
	Vectors [][3][]float32 // sums over windows of CLS, projected and patches, by modality
	Skipped map[string]string
	Fault   string
}

// send hands p to all processes and returns what each sent, by rank. All processes
// return an error when one has a fault: it names the rank.
func send(g engine.Group, p part) ([]part, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(p); err != nil {
		return nil, fmt.Errorf("embed: %w", err)
	}
	all, err := g.Exchange(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("embed: the clips of the other processes: %w", err)
	}
	parts := make([]part, len(all))
	for rank, text := range all {
		if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&parts[rank]); err != nil {
			return nil, fmt.Errorf("embed: what process %d sent: %w", rank, err)
		}
		if parts[rank].Fault != "" {
			return nil, fmt.Errorf("embed: process %d failed: %s", rank, parts[rank].Fault)
		}
	}
	return parts, nil
}

// fail tells the other processes what went wrong in this one, and returns it.
func fail(g engine.Group, mine error) error {
	if g != nil {
		if _, err := send(g, part{Fault: mine.Error()}); errors.Is(err, engine.ErrLost) {
			return errors.Join(mine, err)
		}
	}
	return mine
}

// gather makes out that of all processes, which each embedded a share.
func (r *runner) gather(g engine.Group) error {
	p := part{Index: r.out.Index, Skipped: map[string]string{}}
	for key, err := range r.out.Skipped {
		p.Skipped[key] = err.Error()
	}
	for _, v := range r.vectors() {
		p.Vectors = append(p.Vectors, [3][]float32{v.CLS.Data, v.Projected.Data, v.Patches.Data})
	}
	parts, err := send(g, p)
	if err != nil {
		return err
	}
	return r.merge(parts)
}

// merge sets out to the parts of all processes, in order.
func (r *runner) merge(parts []part) error {
	r.out.Index = nil
	for _, p := range parts {
		r.out.Index = append(r.out.Index, p.Index...)
		for key, text := range p.Skipped {
			if r.out.Skipped[key] == nil { // else this process's own, with what is behind it
				r.out.Skipped[key] = errors.New(text)
			}
		}
	}
	c := r.model.Config
	widths := [3]int{c.Encoder.Width, c.Proj, c.Encoder.Width}
	for i, v := range r.vectors() {
		for j, a := range []*tensor.Array{&v.CLS, &v.Projected, &v.Patches} {
			var data []float32
			for rank, p := range parts {
				if len(p.Vectors) <= i || len(p.Vectors[i][j]) != len(p.Index)*widths[j] {
					return fmt.Errorf("embed: process %d sent embeddings of another model: all "+
						"processes must be given the same checkpoint and options", rank)
				}
				data = append(data, p.Vectors[i][j]...)
			}
			*a = tensor.From(data, len(r.out.Index), widths[j])
		}
	}
	return nil
}
