package verifier

import (
	"net/http"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// A Provider knows how one sender proves its requests and what they say. Its
// methods are called in the order in which they stand here, and from many
// goroutines at once.
type Provider interface {
	// Name is the provider's name, as it stands in the Caddyfile, in event ids
	// and in metrics.
	Name() string

	// Defaults are the settings that a handler takes unless it is told others.
	Defaults() Defaults

	// CheckHeader judges what the header alone can tell, before a byte of the
	// body is read: presence and form of the proof, freshness against now. It
	// returns a *Rejection or the proof that the body has yet to match.
	CheckHeader(h http.Header, now time.Time) (Proof, error)

	// Event reads a body that is proved genuine. It returns a *PayloadError
	// where the body is not the provider's JSON.
	Event(r Request) (*event.Event, error)

	// Quarantine makes the event that keeps the bytes of a genuine request
	// whose payload is invalid, or returns nil where the provider will send
	// them again and nothing need be kept.
	Quarantine(r Request) *event.Event
}

// An EventTyper is a Provider that knows the types of its events. It is optional:
// a configuration is checked against the types only where they are known.
type EventTyper interface {
	// EventTypes returns the short types of the events that the provider sends
	// today. Events of other types are accepted all the same: the provider may
	// add some. It is called on a zero value too.
	EventTypes() []string
}

// Defaults are a provider's settings where the user gives none.
type Defaults struct {
	Source  string // the events' source, a URI
	MaxBody int64  // bytes
}

// A Proof is what a request's header claims about its body.
type Proof interface {
	// Verify tells which secret proves the body, 0 being the first of the
	// list, or returns a *Rejection.
	Verify(body []byte) (secret int, err error)
}

// A Request is a genuine request, as data.
type Request struct {
	Source     string   // the event's source, a URI
	Keep       []string // names of the query parameters to keep as metadata; nil is all
	Header     http.Header
	Query      string // the query string as it came, without "?"
	Body       []byte
	ReceivedAt time.Time
}
