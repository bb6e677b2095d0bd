package media

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// maxFrameBytes bounds one frame on a pipe; 8192 × 8192 RGB pixels are 192 MiB.
const maxFrameBytes = 256 << 20

// frameReader takes the frames out of a pipe.
type frameReader struct {
	r     *bufio.Reader
	raw   bool
	limit int    // bytes of a frame
	last  []byte // the frame before
	room  []byte // for the next one, not yet given out
}

func newFrameReader(r io.Reader, raw bool, limit int64) *frameReader {
	buffer := 64 << 10
	if raw {
		buffer = 4 << 10 // most of a frame is read to its place
	}
	return &frameReader{r: bufio.NewReaderSize(r, buffer), raw: raw,
		limit: int(min(limit, maxFrameBytes))}
}

// sendAll sends the frames until the pipe ends or send refuses.
func (f *frameReader) sendAll(send func(piece) bool) {
	for {
		x, err := f.next()
		x.video, x.err = true, err
		if !send(x) || err != nil {
			return
		}
	}
}

// next returns a frame of its own memory, or of its predecessor's where it repeats
// that: a still stretch costs the memory of one frame. Its error is io.EOF behind
// the last frame, io.ErrUnexpectedEOF within one, or a FileError.
func (f *frameReader) next() (piece, error) {
	var x piece
	var err error
	if f.raw {
		err = f.readPPM(&x)
	} else {
		err = f.readJPEG(&x)
	}
	if err != nil {
		return piece{}, err
	}
	if f.last == nil || !bytes.Equal(f.room, f.last) {
		if f.raw { // as large as they are, to be kept as they are
			f.last, f.room = f.room, nil
		} else {
			f.last = bytes.Clone(f.room)
		}
	}
	x.frame = f.last
	return x, nil
}

// notFrame is the error of a stream that is out of step.
func notFrame(format string, args ...any) error {
	return &FileError{Corrupt, "ffmpeg's picture: " + fmt.Sprintf(format, args...)}
}

// tooLarge is the error of a frame beyond the limit.
func (f *frameReader) tooLarge() error {
	return &FileError{TooLarge, fmt.Sprintf("a frame of more than %d bytes", f.limit)}
}

// readJPEG reads one JPEG file from a stream of them into room: marker by marker,
// so that an end marker inside a segment's data does not count.
func (f *frameReader) readJPEG(x *piece) error {
	start, err := f.r.Peek(2)
	if err != nil {
		if err == io.EOF && len(start) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if start[0] != 0xff || start[1] != 0xd8 {
		return notFrame("JPEG begins with % x", start)
	}
	data := append(f.room[:0], 0xff, 0xd8)
	defer func() { f.room = data }()
	_, _ = f.r.Discard(2)
	marker := byte(0)
	for {
		if marker == 0 {
			if marker, data, err = f.readMarker(data); err != nil {
				return err
			}
		}
		if marker == 0xd9 { // end of image
			return nil
		}
		var segment []byte
		if segment, data, err = readSegment(f.r, data); err != nil {
			return err
		}
		if marker >= 0xc0 && marker <= 0xc2 && len(segment) >= 8 { // frame header
			x.height = int(binary.BigEndian.Uint16(segment[3:]))
			x.width = int(binary.BigEndian.Uint16(segment[5:]))
		}
		scan := marker == 0xda
		marker = 0
		if scan { // coded data up to the next real marker
			if marker, data, err = f.readScan(data); err != nil {
				return err
			}
		}
		if len(data) > f.limit {
			return f.tooLarge()
		}
	}
}

// readSegment appends what follows a marker: its own length in two bytes, and data.
func readSegment(r *bufio.Reader, data []byte) (segment, all []byte, err error) {
	size, err := r.Peek(2)
	if err != nil {
		return nil, data, io.ErrUnexpectedEOF
	}
	length := int(binary.BigEndian.Uint16(size))
	if length < 2 {
		return nil, data, notFrame("JPEG segment of %d bytes", length)
	}
	from := len(data)
	data = slices.Grow(data, length)[:from+length]
	if _, err := io.ReadFull(r, data[from:]); err != nil {
		return nil, data, io.ErrUnexpectedEOF
	}
	return data[from:], data, nil
}

// readMarker appends a marker.
func (f *frameReader) readMarker(data []byte) (byte, []byte, error) {
	b, err := f.r.ReadByte()
	if err != nil {
		return 0, data, io.ErrUnexpectedEOF
	}
	if b != 0xff {
		return 0, data, notFrame("byte %#x in place of a JPEG marker", b)
	}
	return f.readRest(append(data, b))
}

// readRest appends what follows the ff of a marker: fill bytes, which are ff too,
// and the byte that names it.
func (f *frameReader) readRest(data []byte) (byte, []byte, error) {
	for len(data) <= f.limit {
		b, err := f.r.ReadByte()
		if err != nil {
			return 0, data, io.ErrUnexpectedEOF
		}
		if data = append(data, b); b != 0xff {
			return b, data, nil
		}
	}
	return 0, data, f.tooLarge()
}

// readScan appends coded data with the marker that ends it. In coded data a byte
// ff is followed by 00 or by a restart marker.
func (f *frameReader) readScan(data []byte) (byte, []byte, error) {
	for len(data) <= f.limit {
		chunk, err := f.r.ReadSlice(0xff)
		data = append(data, chunk...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return 0, data, io.ErrUnexpectedEOF
		}
		var b byte
		if b, data, err = f.readRest(data); err != nil {
			return 0, data, err
		}
		if b != 0 && (b < 0xd0 || b > 0xd7) {
			return b, data, nil
		}
	}
	return 0, data, f.tooLarge()
}

// maxPPMHeader holds two sizes of 9 digits.
const maxPPMHeader = 32

// readPPM reads one binary PPM picture as ffmpeg writes it into room.
func (f *frameReader) readPPM(x *piece) error {
	if _, err := f.r.Peek(1); err != nil {
		return err
	}
	var header []byte
	for lines := 0; lines < 3; {
		b, err := f.r.ReadByte()
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if header = append(header, b); len(header) > maxPPMHeader {
			return notFrame("a PPM header of more than %d bytes", maxPPMHeader)
		}
		if b == '\n' {
			lines++
		}
	}
	const format = "P6\n%d %d\n255\n"
	_, err := fmt.Sscanf(string(header), format, &x.width, &x.height)
	if err != nil || x.width <= 0 || x.height <= 0 ||
		fmt.Sprintf(format, x.width, x.height) != string(header) {
		return notFrame("a PPM header %q", header)
	}
	if x.width > f.limit/3/x.height {
		return f.tooLarge()
	}
	if n := x.width * x.height * 3; len(f.room) != n {
		f.room = make([]byte, n)
	}
	if _, err := io.ReadFull(f.r, f.room); err != nil {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// maxChannels bounds what the header of the sound may claim.
const maxChannels = 1024

// readSamples sends the samples of a pipe, channels averaged, until it ends or
// send refuses. The pipe carries a Sun audio file: its header tells the number of
// channels.
func readSamples(r io.Reader, send func(piece) bool) {
	buffered := bufio.NewReaderSize(r, 32<<10)
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
		return 0, &FileError{Corrupt, fmt.Sprintf("ffmpeg's sound is not 16-bit Sun audio: % x", header)}
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
