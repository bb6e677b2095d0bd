package media

import "fmt"

// Outcome says what became of a file or of one segment of it.
type Outcome string

// The outcomes, in order of precedence: a clip that is too short and silent is
// TooShort. From NoVideo on a clip carries what was decoded; TooShort may.
const (
	Missing     Outcome = "missing"     // known to have no file, without a try: ingest says so
	Unreadable  Outcome = "unreadable"  // no such file, no permission, not a regular file
	Empty       Outcome = "empty"       // zero bytes, or a container without a single packet
	Unsupported Outcome = "unsupported" // a playlist, a text, or a codec that ffmpeg lacks
	TooLarge    Outcome = "too large"   // pixels, seconds, streams or bytes beyond Limits
	Timeout     Outcome = "timeout"     // Limits.Timeout or its processor time used up
	Corrupt     Outcome = "corrupt"     // not a container, or too little of it decodes
	TooShort    Outcome = "too short"   // less than DecodeConfig.MinSeconds of picture and sound
	NoVideo     Outcome = "no video"    // sound alone (a cover picture is no video)
	NoAudio     Outcome = "no audio"    // picture alone
	Silent      Outcome = "silent"      // the sound's peak lies below DecodeConfig.SilenceDB
	StillImage  Outcome = "still image" // all frames are the same picture; sound is kept
	Usable      Outcome = "usable"
)

// HasClip reports whether a Clip of this outcome holds decoded frames or samples
// for certain.
func (o Outcome) HasClip() bool {
	switch o {
	case NoVideo, NoAudio, Silent, StillImage, Usable:
		return true
	}
	return false
}

// FileError is Probe's error for a file that cannot be used: the file's fault,
// not ours.
type FileError struct {
	Outcome Outcome
	Reason  string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("media: %s: %s", e.Outcome, e.Reason)
}
