package view_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"

	"avjepa/internal/view"
)

func Example() {
	var frame bytes.Buffer
	if err := jpeg.Encode(&frame, image.NewGray(image.Rect(0, 0, 48, 36)), nil); err != nil {
		fmt.Println(err)
		return
	}
	frames := [][]byte{frame.Bytes(), frame.Bytes(), frame.Bytes()}
	samples := make([]int16, 3*16000)

	c := view.Default()
	c.Seconds, c.Side, c.Resize, c.Bands = 2, 32, 36, 64
	m, err := view.NewMaker(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := m.Decode(frames, 1, samples)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := m.NewBatch(4)
	if err := m.Fill(b, 0, d, 1, 0, "a clip"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(b.GlobalVideo), len(b.LocalAudio), c.MelFrames())
	// Output: 393216 51456 201
}
