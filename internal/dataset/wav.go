package dataset

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const wavHeader = 44

// appendWAV appends a RIFF/WAVE file of mono 16-bit PCM to b.
func appendWAV(b []byte, samples []int16, sampleRateHz int) []byte {
	le := binary.LittleEndian
	n := uint32(2 * len(samples))
	b = append(b, "RIFF"...)
	b = le.AppendUint32(b, wavHeader-8+n)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1) // PCM
	b = le.AppendUint16(b, 1) // channels
	b = le.AppendUint32(b, uint32(sampleRateHz))
	b = le.AppendUint32(b, uint32(2*sampleRateHz))
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = le.AppendUint32(b, n)
	for _, s := range samples {
		b = le.AppendUint16(b, uint16(s))
	}
	return b
}

// wavSize returns what the header of a file says that appendWAV wrote, if it is one.
func wavSize(b []byte) (samples, sampleRateHz int, err error) {
	le := binary.LittleEndian
	if len(b) < wavHeader || string(b[:4]) != "RIFF" || string(b[8:16]) != "WAVEfmt " ||
		le.Uint16(b[20:]) != 1 || le.Uint16(b[22:]) != 1 || le.Uint16(b[34:]) != 16 ||
		string(b[36:40]) != "data" || int64(le.Uint32(b[40:])) != int64(len(b)-wavHeader) ||
		len(b)%2 != 0 {
		return 0, 0, fmt.Errorf("%d bytes are not a mono 16-bit PCM wav file", len(b))
	}
	return (len(b) - wavHeader) / 2, int(le.Uint32(b[24:])), nil
}

// readWAV appends the samples of such a file to dst.
func readWAV(dst []int16, b []byte) (samples []int16, sampleRateHz int, err error) {
	n, rate, err := wavSize(b)
	if err != nil {
		return nil, 0, err
	}
	dst = slices.Grow(dst, n)
	for pcm := b[wavHeader:]; len(pcm) > 1; pcm = pcm[2:] {
		dst = append(dst, int16(binary.LittleEndian.Uint16(pcm)))
	}
	return dst, rate, nil
}
