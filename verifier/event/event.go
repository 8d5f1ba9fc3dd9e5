package event

import (
	"strings"
	"time"
)

// The kinds of objects that an event announces.
const (
	KindNote          = "note"
	KindTranscription = "transcription"
)

// Other is the short type of a quarantined event, and of an event whose name has
// other characters than letters, digits, dots, underscores and hyphens.
const Other = "other"

// Test is the short type of an event that a provider sends to test an endpoint. It
// goes only to upstreams that list it.
const Test = "test"

// An Event is the content of one genuine request, with the request's bytes.
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
	Note       Span    // the place of the provider's data object in Body
	WithRaw    bool    // whether the data object carries all of Body as "raw"

	// Transcription is the JSON object "transcription" of the data: what the provider's API
	// reported about the result that the event announces. Empty if the API was not asked.
	Transcription []byte

	Body        []byte  // the request's body as received
	ContentType string  // the request's Content-Type as received, may be empty
	Proof       []Field // the headers that proved it, for the format raw
	Query       string  // the request's query string as received, without "?"
}

// A Param is a query parameter: its name, and its values in order.
type Param struct {
	Name   string
	Values []string
}

// A Field is a header field. A field whose value is a secret is kept with an empty
// Value, which is filled in from the configuration when the event is delivered: the
// secret is never stored.
type Field struct {
	Name  string
	Value string
}

// A Span is the part of Body from Start up to, but not including, End. The zero Span
// is empty.
type Span struct {
	Start, End int
}

// Empty reports whether the span is empty.
func (s Span) Empty() bool { return s.End <= s.Start }

// ShortType returns the event's type without the provider's prefix, as the option
// `events` and metrics use it: "note.generated", "transcription.error".
func (e *Event) ShortType() string {
	return strings.TrimPrefix(e.Type, TypePrefix(e.Provider))
}

// maxShortType is the length of the longest short type.
const maxShortType = 64

// IsShortType reports whether s can be the short type of an event: 1 to 64 ASCII
// letters, digits, dots, underscores and hyphens.
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

// TypePrefix returns the prefix of the types of a provider's events.
func TypePrefix(provider string) string { return "com." + provider + "." }
