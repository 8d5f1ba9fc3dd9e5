package event

import (
	"iter"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// specVersion is the version of CloudEvents that the events are written in.
const specVersion = "1.0"

// AppendStructured appends the event as one CloudEvents JSON document: the
// attributes that are not empty, then the data object.
func (e *Event) AppendStructured(dst []byte) []byte {
	size := e.dataSize() + len(`{"datacontenttype":"application/json","data":}`)
	for name, value := range e.attributes() {
		size += quoted(name, value)
	}
	dst = slices.Grow(dst, size)
	dst = append(dst, '{')
	for name, value := range e.attributes() {
		dst = appendMember(dst, name, value)
		dst = append(dst, ',')
		if name == "time" {
			dst = append(dst, `"datacontenttype":"application/json",`...)
		}
	}
	dst = append(dst, `"data":`...)
	dst = e.AppendData(dst)
	return append(dst, '}')
}

// AppendData appends the event's data object. The note, the transcription and the raw
// payload in it are copied unchanged.
func (e *Event) AppendData(dst []byte) []byte {
	dst = slices.Grow(dst, e.dataSize())
	dst = append(dst, '{')
	dst = append(appendMember(dst, "provider", e.Provider), ',')
	dst = append(appendMember(dst, "kind", e.Kind), ',')
	dst = append(appendMember(dst, "id", e.ObjectID), ',')
	dst = append(appendMember(dst, "status", e.Status), ',')
	if e.OccurredAt != "" {
		dst = append(appendMember(dst, "occurred_at", e.OccurredAt), ',')
	}
	dst = append(dst, `"received_at":"`...)
	dst = appendTime(dst, e.ReceivedAt)
	dst = append(dst, '"')
	if !e.Note.Empty() {
		dst = append(dst, `,"note":`...)
		dst = append(dst, e.Body[e.Note.Start:e.Note.End]...)
	}
	if len(e.Transcription) > 0 {
		dst = append(dst, `,"transcription":`...)
		dst = append(dst, e.Transcription...)
	}
	dst = append(dst, `,"metadata":`...)
	dst = appendMetadata(dst, e.Metadata)
	if e.WithRaw {
		dst = append(dst, `,"raw":`...)
		dst = append(dst, e.Body...)
	}
	return append(dst, '}')
}

// Attributes returns the event's CloudEvents attributes as the headers of binary
// mode carry them, in a fixed order: those that are not empty, without the prefix
// "ce-", and without datacontenttype, which is Content-Type there.
//
// Values are percent-encoded as in section 3.1.3.2 of the CloudEvents HTTP protocol
// binding: characters outside U+0021 to U+007E, the double quote and the percent
// sign.
func (e *Event) Attributes() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, value := range e.attributes() {
			if !yield(name, percentEncode(value)) {
				return
			}
		}
	}
}

// attributes returns the attributes that are not empty, with unencoded values.
func (e *Event) attributes() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, a := range [...]struct{ name, value string }{
			{"specversion", specVersion},
			{"id", e.ID},
			{"source", e.Source},
			{"type", e.Type},
			{"subject", e.Subject},
			{"time", e.Time},
			{"expirytime", e.ExpiryTime},
			{"traceparent", e.TraceParent},
			{"tracestate", e.TraceState},
		} {
			if a.value != "" && !yield(a.name, a.value) {
				return
			}
		}
	}
}

// dataSize returns the length of the data object in bytes, without escapes.
func (e *Event) dataSize() int {
	size := len(`{"received_at":"2006-01-02T15:04:05.000Z","note":,"metadata":{},"raw":}`) + e.Note.End - e.Note.Start +
		quoted("provider", e.Provider) + quoted("kind", e.Kind) + quoted("id", e.ObjectID) + quoted("status", e.Status) +
		quoted("occurred_at", e.OccurredAt)
	for _, p := range e.Metadata {
		size += quoted(p.Name, "")
		for _, v := range p.Values {
			size += len(`"",`) + len(v)
		}
	}
	if e.WithRaw {
		size += len(e.Body)
	}
	if len(e.Transcription) > 0 {
		size += len(`,"transcription":`) + len(e.Transcription)
	}
	return size
}

// quoted returns the length of a member and the comma behind it.
func quoted(name, value string) int { return len(`"":"",`) + len(name) + len(value) }

func appendMetadata(dst []byte, params []Param) []byte {
	dst = append(dst, '{')
	for i, p := range params {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuote(dst, p.Name), ':', '[')
		for j, v := range p.Values {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendQuote(dst, v)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendMember appends a member whose name needs no escape.
func appendMember(dst []byte, name, value string) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendQuote(dst, value)
}

// appendQuote appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD; the
// error says no more than that they were there.
func appendQuote(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// percentEncode returns a value that is safe in a header.
func percentEncode(s string) string {
	safe := true
	for i := range len(s) {
		safe = safe && isSafe(s[i])
	}
	if safe {
		return s
	}
	const digits = "0123456789ABCDEF"
	var b []byte
	for _, r := range s { // by rune, so that what is not UTF-8 becomes U+FFFD
		for _, c := range []byte(string(r)) {
			if isSafe(c) {
				b = append(b, c)
			} else {
				b = append(b, '%', digits[c>>4], digits[c&15])
			}
		}
	}
	return string(b)
}

func isSafe(c byte) bool { return '!' <= c && c <= '~' && c != '"' && c != '%' }
