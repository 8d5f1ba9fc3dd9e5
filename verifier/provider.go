package verifier

import (
	"net/http"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// A Provider verifies and reads the requests of one sender. Its methods are called
// in the order in which they are declared, by many goroutines at once.
type Provider interface {
	// Name returns the provider's name, as in the Caddyfile, in event ids and in
	// metrics.
	Name() string

	// Defaults returns the settings of a handler that sets no others.
	Defaults() Defaults

	// CheckHeader checks all that the header alone decides, before a byte of the
	// body is read: that the proof is there, its form, and its age at now. It
	// returns a *Rejection, or the proof that the body must match.
	CheckHeader(h http.Header, now time.Time) (Proof, error)

	// Event returns the event in a body that was verified, or a *PayloadError if
	// the body is not the provider's JSON.
	Event(r Request) (*event.Event, error)

	// Quarantine returns the event that keeps the bytes of a genuine request with
	// an invalid payload. It returns nil if the provider sends them again, so
	// that nothing has to be kept.
	Quarantine(r Request) *event.Event
}

// An EventTyper is a Provider that knows the types of its events. It is optional:
// a configuration is checked against the types only where they are known.
type EventTyper interface {
	// EventTypes returns the short types of the events that the provider sends
	// today. Events of other types are accepted too, since the provider may add
	// some. It is also called on a zero value.
	EventTypes() []string
}

// Defaults are a provider's settings if the user sets none.
type Defaults struct {
	Source  string // the events' source, a URI
	MaxBody int64  // bytes
}

// A Proof is the evidence in a request's header that its body is genuine.
type Proof interface {
	// Verify returns the index of the secret that verifies the body, 0 for the
	// first of the list, or a *Rejection.
	Verify(body []byte) (secret int, err error)
}

// A Request is a genuine request, as data.
type Request struct {
	Source     string   // the event's source, a URI
	Keep       []string // names of the query parameters to keep as metadata; nil is all
	Header     http.Header
	Query      string // the query string as received, without "?"
	Body       []byte
	ReceivedAt time.Time
}
