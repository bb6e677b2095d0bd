// Package scenes makes the demo's data: short scenes in which one object
// bounces over grey scenery and sounds when it hits something, as real video
// files (H.264 and AAC) with a manifest of labels.
//
// Eight kinds of object look and sound different: the kind gives shape, colour
// and timbre, the size gives the pitch (small things sound high), every impact
// starts a strike, and its speed gives the loudness. Two further Cues can be
// switched on: polished things look lighter and ring longer, bright scenery is
// noisy. All else in the scenery, the camera noise and the noise floor of the
// sound is of one modality alone.
//
//	kind        what an object is, the label of a scene
//	size        u in [0, 1], radius .08·2.5^u of the picture's side
//	impact      a hit on the floor or a side wall, with its time and speed
//	strike      the sound of one impact
//	gap         pause between two scenes of a file
//
//	s := scenes.NewScene(seed, 17, scenes.Cues{})
//	film := s.Film(48, 12.5, 3.2)
//	film.Render(20, rgb)               // the picture at 1.6 s
//	s.Sound(16000, samples)            // the sound of the same scene
package scenes
