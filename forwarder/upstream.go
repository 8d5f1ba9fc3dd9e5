package forwarder

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// A Format is the form of an event in a request.
type Format string

// The formats of a delivery.
const (
	Structured Format = "structured" // a CloudEvents JSON document
	Binary     Format = "binary"     // the data as body, the attributes as ce-* headers
	Raw        Format = "raw"        // the provider's bytes, query and proof
)

// The defaults of an upstream's settings.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultConcurrency = 32
)

// DefaultRetry has the waits between attempts: n waits for n+1 attempts.
var DefaultRetry = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// An Upstream is a backend that receives events.
type Upstream struct {
	Name        string
	Format      Format
	Timeout     time.Duration   // for one attempt, up to the final status
	Concurrency int             // attempts in flight at once
	Retry       []time.Duration // waits between attempts
	RateLimit   float64         // deliveries per second; 0 is unlimited
	Sender      Sender

	// SigningKeys returns the present signing keys, in order; it may return none.
	SigningKeys func() []SigningKey

	// Credential returns the current value of a provider's secret header, for
	// the format raw: that of the configured handler with the provider, source
	// and header name. While it returns false, or is nil, the deliveries that
	// need the header wait and use up no attempt. It is called about once a
	// second, and must return quickly.
	Credential func(provider, source, header string) (value string, ok bool)

	// Identity changes when the upstream becomes another backend, so that a
	// pause of the old backend does not delay the new one.
	Identity string
}

// A Sender carries one request to an upstream.
//
// It returns as soon as the upstream's final status is known, or with an error when
// ctx ends before. It reads at most 64 KiB of the rest of the answer. An error that
// wraps ErrConnect, ErrUnanswered or ErrInternal is counted as such; any other error
// is a failure of the upstream with this event.
//
// The Sender owns the message from then on, and may change and keep it.
type Sender interface {
	Send(ctx context.Context, m *Message) (Answer, error)
}

// The errors that a Sender's error may wrap.
var (
	// ErrConnect says that no connection to the upstream could be made, so the
	// upstream has not seen the event.
	ErrConnect = errors.New("could not connect")

	// ErrUnanswered says that a connection was made for the request and ended
	// before a byte of an answer, as behind a load balancer that has no
	// backend. Whether the upstream has seen the event is not known.
	ErrUnanswered = errors.New("the connection ended before an answer began")

	// ErrInternal says that the gateway or its configuration caused the
	// failure, and not the upstream.
	ErrInternal = errors.New("the gateway failed, and not the upstream")
)

// A Message is an event rendered for an upstream.
type Message struct {
	Header http.Header // canonical names
	Body   []byte
	Query  string // to append to the URL's own query, without "?"; raw only

	// Probe says that the message tests whether a paused upstream is back. It
	// must be sent on a new connection, since the upstream may have moved.
	Probe bool
}

// An Answer is an upstream's final status. Status 0 says that the upstream, a
// route, answered nothing.
type Answer struct {
	Status     int
	RetryAfter string // the header of that name
}
