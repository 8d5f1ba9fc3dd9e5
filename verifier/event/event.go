package event

import (
	"strings"
	"time"
)

// The kinds of thing that an event speaks of.
const (
	KindNote          = "note"
	KindTranscription = "transcription"
)

// Other is the short type of an event whose name the provider made up of
// something else than letters, digits, dots, underscores and hyphens, and of a
// quarantined one.
const Other = "other"

// Test is the short type of an event that a provider sends to try an endpoint
// out. It goes only to the upstreams that ask for it.
const Test = "test"

// An Event is what one genuine request says, and the bytes that said it.
//
// The fields down to TraceState become CloudEvents attributes and never hold
// patient data; the others become the event's data. Body is kept once: the
// data object is assembled from slices of it when the event is rendered, so
// that a note is passed on byte for byte.
type Event struct {
	ID          string // unique for a source; the same for the same announcement
	Source      string // a URI
	Type        string // "com." + Provider + "." + the short type
	Subject     string // may be empty
	Time        string // RFC 3339, as the provider wrote it or the time of receipt
	ExpiryTime  string // RFC 3339, may be empty
	TraceParent string // W3C Trace Context, may be empty
	TraceState  string // W3C Trace Context, may be empty

	Provider   string // "soapnoteapi", "soniox", or another plugin's
	Kind       string // KindNote or KindTranscription
	ObjectID   string // the note's or the transcription's id at the provider
	Status     string // "completed", "failed", "test" or the provider's own word
	OccurredAt string // RFC 3339 as the provider wrote it, may be empty
	ReceivedAt time.Time
	Metadata   []Param // the query parameters that are kept, in order
	Note       Span    // where the provider's data object stands in Body
	WithRaw    bool    // whether the data object carries all of Body as "raw"

	Body        []byte  // the request's body as it came
	ContentType string  // the request's Content-Type as it came, may be empty
	Proof       []Field // the headers that proved it, for the format raw
	Query       string  // the request's query string as it came, without "?"
}

// A Param is a query parameter: its name, and its values in order.
type Param struct {
	Name   string
	Values []string
}

// A Field is a header field. A field that proves a request by being secret is
// kept with an empty Value: the value is filled in from the configuration when
// the event is delivered, and never stored.
type Field struct {
	Name  string
	Value string
}

// A Span is a part of Body, from Start up to and without End. The zero Span is
// no part at all.
type Span struct {
	Start, End int
}

// Empty reports whether the span is no part at all.
func (s Span) Empty() bool { return s.End <= s.Start }

// ShortType is the event's type without the provider's prefix, as `events`
// filters and metrics use it: "note.generated", "transcription.error".
func (e *Event) ShortType() string {
	return strings.TrimPrefix(e.Type, TypePrefix(e.Provider))
}

// maxShortType is the length of the longest short type.
const maxShortType = 64

// IsShortType reports whether events can have s for their short type: 1 to 64
// letters, digits, dots, underscores and hyphens of ASCII.
func IsShortType(s string) bool {
	if s == "" || len(s) > maxShortType {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// TypePrefix is what the type of each of a provider's events begins with.
func TypePrefix(provider string) string { return "com." + provider + "." }
