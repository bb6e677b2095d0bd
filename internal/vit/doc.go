// Package vit is the audio-visual vision transformer: one encoder for frames
// and log-mel alike. Video is cut into tubelets, audio into patches of the
// log-mel; together with a CLS they form one token sequence
//
//	[CLS; video, time-major then row-major; audio, frequency-major]
//
// that runs through pre-norm transformer blocks. The CLS of the last block is
// the embedding of a view. An encoder can also take one modality alone
// (Config.Modality), where each has one of its own.
//
//	cfg, err := vit.Default().WithSize("tiny")
//	ps := nn.NewParams()
//	enc, err := vit.New(ps, "encoder", cfg)
//	err = ps.Build(e, nn.WithGradients)
//	enc.Forward(cx, &cache, groups, vit.Keep) // cache.CLS: (views, D)
//	enc.Backward(cx, &cache, groups, dCLS, nil)
package vit
