package dataset

import (
	"math"
	"strconv"
	"unicode/utf8"

	"avjepa/internal/media"
)

// cursor reads a line of index or ledger as encoding/json writes it: fields in the
// order of the struct, no blanks, no escapes. It is many times faster than
// encoding/json, and gives up on anything else, which is then read by that. What it
// accepts it reads as encoding/json does: FuzzIndex holds it to that.
type cursor struct {
	rest []byte
	bad  bool // something else was met: what was read is of no use
	b    *blockReader
}

// has skips s if the rest begins with it, and says whether it does.
func (c *cursor) has(s string) bool {
	if len(c.rest) < len(s) || string(c.rest[:len(s)]) != s {
		return false
	}
	c.rest = c.rest[len(s):]
	return true
}

// want skips s, which must come next.
func (c *cursor) want(s string) {
	if !c.has(s) {
		c.bad = true
	}
}

// text returns the bytes of a string without escapes.
func (c *cursor) text() []byte {
	if len(c.rest) == 0 || c.rest[0] != '"' {
		c.bad = true
		return nil
	}
	plain := true
	for i := 1; i < len(c.rest); i++ {
		switch x := c.rest[i]; {
		case x == '"':
			s := c.rest[1:i]
			c.rest = c.rest[i+1:]
			// encoding/json replaces what is no UTF-8.
			c.bad = c.bad || !plain && !utf8.Valid(s)
			return s
		case x < ' ' || x == '\\':
			c.bad = true
			return nil
		case x >= utf8.RuneSelf:
			plain = false
		}
	}
	c.bad = true
	return nil
}

// keep sets dst to a string, once the block is done.
func (c *cursor) keep(dst *string) {
	s := c.text()
	from := len(c.b.strings)
	c.b.strings = append(c.b.strings, s...)
	c.b.kept = append(c.b.kept, keptString{dst, from, len(c.b.strings)})
}

// count returns a whole number from 0 to most.
func (c *cursor) count(most int64) int64 {
	n, i := int64(0), 0
	for ; i < len(c.rest) && c.rest[i]-'0' <= 9; i++ {
		if n > (math.MaxInt64-9)/10 {
			c.bad = true
			return 0
		}
		n = 10*n + int64(c.rest[i]-'0')
	}
	if i == 0 || i > 1 && c.rest[0] == '0' || n > most {
		c.bad = true
		return 0
	}
	c.rest = c.rest[i:]
	return n
}

func (c *cursor) int() int { return int(c.count(math.MaxInt)) }

// powers of ten that a float64 holds exactly.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
	1e13, 1e14, 1e15}

// number returns a number that is not negative and has no exponent.
func (c *cursor) number() float64 {
	b, i, digits, mantissa, dot := c.rest, 0, 0, int64(0), -1
	for ; i < len(b); i++ {
		if x := b[i] - '0'; x <= 9 {
			if digits < 16 {
				mantissa = 10*mantissa + int64(x)
			}
			digits++
		} else if b[i] == '.' && dot < 0 {
			dot = i
		} else {
			break
		}
	}
	whole := i
	if dot >= 0 {
		whole = dot
	}
	if whole == 0 || whole > 1 && b[0] == '0' || dot == i-1 || i < len(b) && (b[i]|0x20) == 'e' {
		c.bad = true
		return 0
	}
	c.rest = b[i:]
	if digits <= 15 { // both are exact, so the quotient is rounded once, as ParseFloat rounds
		if dot < 0 {
			return float64(mantissa)
		}
		return float64(mantissa) / powers[i-1-dot]
	}
	x, err := strconv.ParseFloat(string(b[:i]), 64)
	c.bad = c.bad || err != nil
	return x
}

// labels returns a list of at least one string.
func (c *cursor) labels() []string {
	whole := c.rest
	c.want("[")
	n := 0
	for !c.bad {
		c.text()
		n++
		if !c.has(",") {
			break
		}
	}
	c.want("]")
	if c.bad {
		return nil
	}
	raw := whole[:len(whole)-len(c.rest)]
	if there, ok := c.b.labels[string(raw)]; ok {
		return there
	}
	again, list := cursor{rest: raw[1:]}, make([]string, n)
	for i := range list {
		list[i] = string(again.text())
		again.has(",")
	}
	list = c.b.shared.labelsOf(list)
	c.b.labels[string(raw)] = list
	return list
}

// word returns a string of which there are few different ones.
func (c *cursor) word() string {
	s := c.text()
	if there, ok := c.b.words[string(s)]; ok {
		return there
	}
	w := c.b.shared.word(string(s))
	c.b.words[w] = w
	return w
}

// clip reads an Info.
func (c *cursor) clip(f *Info) {
	c.want(`{"key":`)
	c.keep(&f.Key)
	if c.has(`,"labels":`) {
		f.Labels = c.labels()
	}
	c.want(`,"split":`)
	f.Split = c.word()
	if c.has(`,"source":`) {
		c.keep(&f.Source)
	}
	c.want(`,"start":`)
	f.Start = c.number()
	c.want(`,"seconds":`)
	f.Seconds = c.number()
	c.want(`,"fps":`)
	f.FPS = c.number()
	c.want(`,"frames":`)
	f.FrameCount = c.int()
	c.want(`,"width":`)
	f.Width = c.int()
	c.want(`,"height":`)
	f.Height = c.int()
	c.want(`,"sample_rate":`)
	f.SampleRateHz = c.int()
	c.want(`,"samples":`)
	f.SampleCount = c.int()
	f.Silent = c.has(`,"silent":true`)
	f.Quiet = c.has(`,"quiet":true`)
	f.Still = c.has(`,"still":true`)
	f.LowMotion = c.has(`,"low_motion":true`)
	if c.has(`,"signature":`) {
		if c.b.unsigned {
			c.text()
		} else {
			c.keep(&f.Signature)
		}
	}
	c.want(`,"row":`)
	f.Row = c.int()
	c.want(`,"shard":`)
	f.Shard = c.int()
	c.want(`,"offset":`)
	f.Offset = c.count(math.MaxInt64)
	c.want(`,"bytes":`)
	f.Bytes = c.count(math.MaxInt64)
	c.want(`,"crc":`)
	f.CRC = uint32(c.count(math.MaxUint32))
	c.want("}")
}

// line reads a ledgerLine; clip is where its Clip lies, if it has one.
func (c *cursor) line(l *ledgerLine, clip *Info) {
	c.want("{")
	first := true
	field := func(name string) bool { // every one of them may be left out
		at := name
		if first {
			at = name[1:]
		}
		there := c.has(at)
		first = first && !there
		return there
	}
	if field(`,"source":`) {
		c.keep(&l.Source)
	}
	if field(`,"key":`) {
		c.keep(&l.Key)
	}
	if field(`,"start":`) {
		l.Start = c.number()
	}
	if field(`,"end":`) {
		l.End = c.number()
	}
	if field(`,"outcome":`) {
		l.Outcome = media.Outcome(c.word())
	}
	if field(`,"reason":`) {
		c.keep(&l.Reason)
	}
	if field(`,"clip":`) {
		if c.bad = c.bad || clip == nil; c.bad {
			return
		}
		l.Clip = clip
		c.clip(clip)
	}
	l.Whole = field(`,"whole":true`)
	if field(`,"hash":`) {
		c.keep(&l.Hash)
	}
	if field(`,"split":`) {
		l.Split = c.word()
	}
	l.Retry = field(`,"retry":true`)
	c.want("}")
}

// done says whether the whole line was read and nothing else was met.
func (c *cursor) done() bool { return !c.bad && len(c.rest) == 0 }
