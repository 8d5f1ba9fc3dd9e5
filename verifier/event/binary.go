package event

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// The durable coding of an event is
//
//	version        1 byte: 1, or 2 for an event with a transcription
//	head           4 bytes, big-endian: the length of the fields
//	body           4 bytes, big-endian: the length of the body
//	transcription  4 bytes, big-endian: its length; version 2 only
//	fields         each string as a uvarint length and its bytes, numbers as varints
//	body           of that length
//	transcription  to the end; version 2 only
//
// An event has exactly one coding: Decode accepts only what AppendBinary returns. A
// change of the fields needs a new version, and Decode must still read these,
// since events of the last release wait in queues.
const (
	plainVersion     = 1
	completedVersion = 2
	plainHeader      = 1 + 4 + 4
	completedHeader  = plainHeader + 4
)

// Times between these seconds have four digits for the year, as RFC 3339 needs.
const (
	minSecond = -62167219200 // 0000-01-01T00:00:00Z
	maxSecond = 253402300799 // 9999-12-31T23:59:59Z
)

// AppendBinary appends the event in its durable coding, which Decode reads; ReceivedAt
// becomes UTC. If the event cannot be coded it returns dst and an error: for a Note
// outside of Body, a ReceivedAt outside the years 0 to 9999, or more than 4 GiB.
func (e *Event) AppendBinary(dst []byte) ([]byte, error) {
	second := e.ReceivedAt.Unix()
	note := e.Note
	if note.Empty() {
		note = Span{}
	}
	switch {
	case note.Start < 0 || note.End > len(e.Body):
		return dst, errors.New("encoding an event: its note is not within its body")
	case second < minSecond || second > maxSecond:
		return dst, errors.New("encoding an event: the time of receipt is outside the years 0 to 9999")
	case uint64(len(e.Body)) > math.MaxUint32, uint64(len(e.Transcription)) > math.MaxUint32:
		return dst, errors.New("encoding an event: the body or the transcription is longer than 4 GiB")
	}

	start := len(dst)
	b := slices.Grow(dst, e.BinarySize())
	header := plainHeader
	if len(e.Transcription) == 0 {
		b = append(b, plainVersion)
	} else {
		b, header = append(b, completedVersion), completedHeader
	}
	b = append(b, make([]byte, header-1)...) // the lengths, known below
	for _, s := range e.strings() {
		b = appendString(b, *s)
	}
	b = binary.AppendVarint(b, second)
	b = binary.AppendUvarint(b, uint64(e.ReceivedAt.Nanosecond())) // never negative
	b = appendLen(b, len(e.Metadata))
	for _, p := range e.Metadata {
		b = appendString(b, p.Name)
		b = appendLen(b, len(p.Values))
		for _, v := range p.Values {
			b = appendString(b, v)
		}
	}
	b = appendLen(b, note.Start)
	b = appendLen(b, note.End)
	if e.WithRaw {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = appendLen(b, len(e.Proof))
	for _, f := range e.Proof {
		b = appendString(b, f.Name)
		b = appendString(b, f.Value)
	}

	head := len(b) - start - header
	if uint64(head) > math.MaxUint32 { // a length
		return dst, errors.New("encoding an event: its attributes are longer than 4 GiB")
	}
	binary.BigEndian.PutUint32(b[start+1:], uint32(head))        // checked above
	binary.BigEndian.PutUint32(b[start+5:], uint32(len(e.Body))) // checked above
	if header == completedHeader {
		binary.BigEndian.PutUint32(b[start+9:], uint32(len(e.Transcription))) // checked above
	}
	return append(append(b, e.Body...), e.Transcription...), nil
}

// BinarySize returns the size of the durable coding in bytes, or a little more.
func (e *Event) BinarySize() int {
	const number = 3 // bytes of the length of what is shorter than 2 MiB
	size := completedHeader + 32 + len(e.Body) + len(e.Transcription)
	for _, s := range e.strings() {
		size += number + len(*s)
	}
	for _, p := range e.Metadata {
		size += 2*number + len(p.Name)
		for _, v := range p.Values {
			size += number + len(v)
		}
	}
	for _, f := range e.Proof {
		size += 2*number + len(f.Name) + len(f.Value)
	}
	return size
}

// strings returns the event's plain strings in the order of the coding.
func (e *Event) strings() [15]*string {
	return [...]*string{
		&e.ID, &e.Source, &e.Type, &e.Subject, &e.Time, &e.ExpiryTime, &e.TraceParent, &e.TraceState,
		&e.Provider, &e.Kind, &e.ObjectID, &e.Status, &e.OccurredAt, &e.ContentType, &e.Query,
	}
}

func appendString(dst []byte, s string) []byte { return append(appendLen(dst, len(s)), s...) }

func appendLen(dst []byte, n int) []byte {
	return binary.AppendUvarint(dst, uint64(n)) // a length is never negative
}
