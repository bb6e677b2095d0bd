package media

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxFrameBytes bounds one frame on a pipe; 8192 × 8192 RGB pixels are 192 MiB.
const maxFrameBytes = 256 << 20

// readFrames sends the frames of a pipe until it ends or send refuses.
func readFrames(r io.Reader, raw bool, send func(piece) bool) {
	buffered := bufio.NewReaderSize(r, 256<<10)
	next := nextJPEG
	if raw {
		next = nextPPM
	}
	for {
		x, err := next(buffered)
		x.video, x.err = true, err
		if !send(x) || err != nil {
			return
		}
	}
}

var errFrame = errors.New("media: not a frame")

// nextJPEG reads one JPEG file from a stream of them: marker by marker, so that
// an end marker inside a segment's data does not count.
func nextJPEG(r *bufio.Reader) (piece, error) {
	var x piece
	start, err := r.Peek(2)
	if err != nil {
		return x, err
	}
	if start[0] != 0xff || start[1] != 0xd8 {
		return x, fmt.Errorf("%w: JPEG begins with % x", errFrame, start)
	}
	data := make([]byte, 0, 16<<10)
	data = append(data, 0xff, 0xd8)
	_, _ = r.Discard(2)
	marker, err := byte(0), error(nil)
	for {
		if marker == 0 {
			if marker, data, err = readMarker(r, data); err != nil {
				return x, err
			}
		}
		if marker == 0xd9 { // end of image
			x.frame = data
			return x, nil
		}
		size, err := r.Peek(2)
		if err != nil {
			return x, io.ErrUnexpectedEOF
		}
		length := int(binary.BigEndian.Uint16(size))
		from := len(data)
		data = append(data, make([]byte, length)...)
		if _, err := io.ReadFull(r, data[from:]); err != nil {
			return x, io.ErrUnexpectedEOF
		}
		if length < 2 || len(data) > maxFrameBytes {
			return x, fmt.Errorf("%w: JPEG segment of %d bytes", errFrame, length)
		}
		segment := data[from:]
		if marker >= 0xc0 && marker <= 0xc2 && length >= 8 { // frame header
			x.height = int(binary.BigEndian.Uint16(segment[3:]))
			x.width = int(binary.BigEndian.Uint16(segment[5:]))
		}
		start := marker
		marker = 0
		if start == 0xda { // start of scan: coded data up to the next real marker
			if marker, data, err = readScan(r, data); err != nil {
				return x, err
			}
		}
	}
}

// readMarker appends a marker, which may have fill bytes before it.
func readMarker(r *bufio.Reader, data []byte) (byte, []byte, error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, data, io.ErrUnexpectedEOF
	}
	if b != 0xff {
		return 0, data, fmt.Errorf("%w: byte %#x in place of a JPEG marker", errFrame, b)
	}
	data = append(data, b)
	for b == 0xff {
		if b, err = r.ReadByte(); err != nil {
			return 0, data, io.ErrUnexpectedEOF
		}
		data = append(data, b)
	}
	return b, data, nil
}

// readScan appends coded data with the marker that ends it. In coded data a byte
// ff is followed by 00 or by a restart marker.
func readScan(r *bufio.Reader, data []byte) (byte, []byte, error) {
	for {
		chunk, err := r.ReadSlice(0xff)
		data = append(data, chunk...)
		if len(data) > maxFrameBytes {
			return 0, data, fmt.Errorf("%w: more than %d bytes", errFrame, maxFrameBytes)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return 0, data, io.ErrUnexpectedEOF
		}
		b := byte(0xff)
		for b == 0xff {
			if b, err = r.ReadByte(); err != nil {
				return 0, data, io.ErrUnexpectedEOF
			}
			data = append(data, b)
		}
		if b != 0 && (b < 0xd0 || b > 0xd7) {
			return b, data, nil
		}
	}
}

// nextPPM reads one binary PPM picture as ffmpeg writes it.
func nextPPM(r *bufio.Reader) (piece, error) {
	var x piece
	if _, err := r.Peek(1); err != nil {
		return x, err
	}
	var depth int
	if _, err := fmt.Fscanf(r, "P6\n%d %d\n%d\n", &x.width, &x.height, &depth); err != nil {
		return x, fmt.Errorf("%w: %v", errFrame, err)
	}
	if x.width <= 0 || x.height <= 0 || depth != 255 || x.width > maxFrameBytes/3/x.height {
		return x, fmt.Errorf("%w: PPM of %d × %d, maximum %d", errFrame, x.width, x.height, depth)
	}
	x.frame = make([]byte, x.width*x.height*3)
	if _, err := io.ReadFull(r, x.frame); err != nil {
		return x, io.ErrUnexpectedEOF
	}
	return x, nil
}

// maxChannels bounds what the header of the sound may claim.
const maxChannels = 1024

// readSamples sends the samples of a pipe, channels averaged, until it ends or
// send refuses. The pipe carries a Sun audio file: its header tells the number of
// channels.
func readSamples(r io.Reader, send func(piece) bool) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	channels, err := readAUHeader(buffered)
	if err != nil {
		send(piece{err: err})
		return
	}
	block := make([]byte, 4096*2*channels)
	for {
		n, err := io.ReadFull(buffered, block)
		if samples := meanOfChannels(block[:n], channels); len(samples) > 0 {
			if !send(piece{samples: samples}) {
				return
			}
		}
		if err != nil {
			send(piece{err: err})
			return
		}
	}
}

func readAUHeader(r *bufio.Reader) (channels int, err error) {
	var header [24]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, io.EOF
	}
	word := func(i int) int64 { return int64(binary.BigEndian.Uint32(header[4*i:])) }
	const linear16 = 3
	offset, encoding, count := word(1), word(3), word(5)
	if string(header[:4]) != ".snd" || encoding != linear16 || offset < 24 ||
		count < 1 || count > maxChannels {
		return 0, fmt.Errorf("media: not 16-bit Sun audio: % x", header)
	}
	if _, err := io.CopyN(io.Discard, r, offset-24); err != nil {
		return 0, io.EOF
	}
	return int(count), nil
}

// meanOfChannels averages interleaved big-endian samples, rounding half away from
// zero. An incomplete last sample is dropped.
func meanOfChannels(data []byte, channels int) []int16 {
	samples := make([]int16, len(data)/(2*channels))
	for i := range samples {
		sum := 0
		for c := range channels {
			sum += int(int16(binary.BigEndian.Uint16(data[2*(i*channels+c):])))
		}
		if sum >= 0 {
			samples[i] = int16((2*sum + channels) / (2 * channels))
		} else {
			samples[i] = int16((2*sum - channels) / (2 * channels))
		}
	}
	return samples
}
