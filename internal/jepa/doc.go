// Package jepa is the training objective: several views of a clip pass one
// encoder and one projector, and every view's projection z is to predict the
// center of the clip's global views, while SIGReg keeps the projections of a
// view spread like N(0, I):
//
//	total = (1−λ)·invariance + λ·SIGReg
//
// With Config.Dual each modality has an encoder of its own: see Tower.
//
// There is no decoder, no teacher and no stop-gradient. Views are laid out
// view-major in groups of equal modalities: globals (both), audio-only locals,
// video-only locals; row = view·B + clip.
//
//	m, err := jepa.New(e, cfg, seed, batch)
//	b, err := m.NewBatch(engine.U8)
//	m.Step(b, step)        // gradients lie in m.Params
//	opt.Step(lr, m.GradSquare())
//	losses := m.Losses()   // the only wait for the device
//
// Source: paper, section 2; LeJEPA, arXiv:2511.08544.
package jepa
