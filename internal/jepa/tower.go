package jepa

import (
	"avjepa/internal/engine"
	"avjepa/internal/vit"
)

// Tower is an encoder with the views that it takes. A shared encoder is one tower
// that takes all. With Config.Dual there are two: a global view passes both, each
// its modality, and a local view the one that has something to see. The embedding
// of a clip is the mean of its towers' CLS.
//
// All towers share the projector. The views of a tower are to predict the center of
// the *other* tower's global views, and SIGReg is of each tower's views; the losses
// of two towers are averaged. So only the center couples the two encoders.
//
// Source: paper, appendix L (shared against dual encoder); the published code.
// Differs: when only one modality is evaluated, the published code averages in the
// other encoder's CLS of an empty input; here the CLS of the one stands alone.
type Tower struct {
	Encoder *vit.Encoder

	audio, video   bool // what it takes
	globals, views int  // of a clip; the globals come first
	first          int  // place of its views among those that all towers encode
	target         int  // tower whose center its views are to predict

	cache  vit.Cache
	groups []vit.Group // of the last pass
}

// addTowers registers the encoders, and lays out what they and the projector take.
func (m *Model) addTowers() error {
	modalities := []vit.Modality{vit.Both}
	if m.Dual {
		modalities = []vit.Modality{vit.AudioOnly, vit.VideoOnly}
	}
	for i, modality := range modalities {
		cfg := m.Config.Encoder
		cfg.Modality = modality
		t := &Tower{audio: modality != vit.VideoOnly, video: modality != vit.AudioOnly,
			globals: m.Globals, first: m.encoded, target: len(modalities) - 1 - i}
		for _, k := range m.kinds() {
			if t.takes(k) {
				t.views += k.views
			}
		}
		m.encoded += t.views
		var err error
		if t.Encoder, err = vit.New(m.Params, "encoder", cfg); err != nil {
			return err
		}
		m.Towers = append(m.Towers, t)
	}
	for _, t := range m.Towers {
		m.addCall(t.first, t.first+t.globals)
	}
	for _, t := range m.Towers {
		m.addCall(t.first+t.globals, t.first+t.views)
	}
	return nil
}

// kind is a run of a clip's views with the same modalities.
type kind struct {
	views        int
	audio, video bool
}

// kinds returns the views of a clip in their order: the globals first.
func (c Config) kinds() [3]kind {
	all := [3]kind{{c.Globals, true, true}, {c.AudioLocals(), true, false},
		{c.VideoLocals(), false, true}}
	if c.LocalsBoth {
		all[1] = kind{c.Locals, true, true}
	}
	return all
}

// takes reports whether there is something in such views for the tower.
func (t *Tower) takes(k kind) bool { return t.audio && k.audio || t.video && k.video }

// see returns the share of a group that the tower takes.
func (t *Tower) see(g vit.Group) vit.Group {
	if !t.audio {
		g.Audio = engine.Tensor{}
	}
	if !t.video {
		g.Video = engine.Tensor{}
	}
	return g
}

// layOut sets the groups to the tower's share of clips lo to hi−1 of a batch.
func (t *Tower) layOut(m *Model, b *Batch, lo, hi int) {
	t.groups = t.groups[:0]
	for i, k := range m.kinds() {
		if k.views == 0 || !t.takes(k) {
			continue
		}
		g := vit.Group{Views: k.views * m.batch, Video: b.GlobalVideo, Audio: b.GlobalAudio}
		if i > 0 {
			g.Video, g.Audio = b.LocalVideo, b.LocalAudio
		}
		if !k.video {
			g.Video = engine.Tensor{}
		}
		if !k.audio {
			g.Audio = engine.Tensor{}
		}
		t.add(t.see(g), k.views, m.batch, lo, hi)
	}
}

// add appends clips lo to hi−1 of a number of views of batch clips: one group, or
// one a view when they are not all clips and so lie apart.
func (t *Tower) add(g vit.Group, views, batch, lo, hi int) {
	if hi-lo == batch {
		t.groups = append(t.groups, g)
		return
	}
	for v := range views {
		t.groups = append(t.groups, vit.Group{Views: hi - lo,
			Video: clipsOf(g.Video, batch, v, lo, hi), Audio: clipsOf(g.Audio, batch, v, lo, hi)})
	}
}

// clipsOf returns clips lo to hi−1 of a view, of a tensor whose first dimension is
// view·batch + clip. Nothing has no clips.
func clipsOf(t engine.Tensor, batch, view, lo, hi int) engine.Tensor {
	if t.Nil() {
		return t
	}
	return t.Slice(view*batch+lo, view*batch+hi)
}
