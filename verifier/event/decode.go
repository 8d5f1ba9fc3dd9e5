package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Decode returns the event of a durable coding. The event's Body and Transcription are
// parts of b, which must not be changed afterwards. If b is not the whole output of AppendBinary,
// Decode returns an error, which contains nothing of b.
func Decode(b []byte) (*Event, error) {
	if len(b) == 0 {
		return nil, errors.New("decoding an event: it is empty")
	}
	header, transcription := plainHeader, uint64(0)
	switch {
	case b[0] == completedVersion:
		header = completedHeader
	case b[0] != plainVersion:
		return nil, fmt.Errorf("decoding an event: its version is %d and this program reads versions %d and %d; was it stored by a newer one?", b[0], plainVersion, completedVersion)
	}
	if len(b) < header {
		return nil, errDamaged
	}
	head := uint64(binary.BigEndian.Uint32(b[1:]))
	body := uint64(binary.BigEndian.Uint32(b[5:]))
	if header == completedHeader {
		if transcription = uint64(binary.BigEndian.Uint32(b[9:])); transcription == 0 {
			return nil, errDamaged
		}
	}
	start := uint64(header)
	if uint64(len(b)) != start+head+body+transcription {
		return nil, errDamaged
	}
	// The strings are parts of one copy of the fields.
	r := reader{rest: string(b[start : start+head])}
	content := b[start+head:]
	e := &Event{Body: content[:body:body]}
	if transcription > 0 {
		e.Transcription = slices.Clip(content[body:])
	}
	for _, s := range e.strings() {
		*s = r.string()
	}
	e.ReceivedAt = r.time()
	e.Metadata = r.params()
	e.Note = r.span(len(e.Body))
	e.WithRaw = r.bool()
	e.Proof = r.fields()
	if r.damaged || r.rest != "" {
		return nil, errDamaged
	}
	return e, nil
}

var errDamaged = errors.New("decoding an event: it is damaged")

// A reader reads the fields of a coding one by one. After the first damaged field it
// returns zero values.
type reader struct {
	rest    string
	damaged bool
}

func (r *reader) fail() {
	r.damaged = true
	r.rest = ""
}

// uvarint reads a number of at most limit, in the shortest coding only.
func (r *reader) uvarint(limit uint64) uint64 {
	var n uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if c == 0 && i > 0 || n > limit {
			break
		}
		r.rest = r.rest[i+1:]
		return n
	}
	r.fail()
	return 0
}

// count reads the number of things that take at least size bytes each.
func (r *reader) count(size int) int {
	return int(r.uvarint(uint64(len(r.rest) / size))) // bounded by a length
}

func (r *reader) string() string {
	n := r.count(1)
	if n > len(r.rest) { // the number itself took a part of what count saw
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) time() time.Time {
	zigzag := r.uvarint(math.MaxUint64)
	second := int64(zigzag>>1) ^ -int64(zigzag&1) // the coding of signed numbers
	nanosecond := r.uvarint(999_999_999)
	if second < minSecond || second > maxSecond {
		r.fail()
	}
	if r.damaged {
		return time.Time{}
	}
	return time.Unix(second, int64(nanosecond)).UTC() // below a second
}

func (r *reader) params() []Param {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	params := make([]Param, n)
	for i := range params {
		params[i].Name = r.string()
		if values := r.count(1); values > 0 {
			params[i].Values = make([]string, values)
		}
		for j := range params[i].Values {
			params[i].Values[j] = r.string()
		}
	}
	return params
}

func (r *reader) span(within int) Span {
	start := int(r.uvarint(uint64(within))) // bounded by a length
	end := int(r.uvarint(uint64(within)))   // bounded by a length
	s := Span{Start: start, End: end}
	if s.Empty() && s != (Span{}) {
		r.fail()
	}
	return s
}

func (r *reader) bool() bool { return r.uvarint(1) == 1 }

func (r *reader) fields() []Field {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	fields := make([]Field, n)
	for i := range fields {
		fields[i] = Field{Name: r.string(), Value: r.string()}
	}
	return fields
}
