package forwarder

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// A Format is how an event is put into a request.
type Format string

// The formats of a delivery.
const (
	Structured Format = "structured" // a CloudEvents JSON document
	Binary     Format = "binary"     // the data as body, the attributes as ce-* headers
	Raw        Format = "raw"        // the provider's bytes, query and proof
)

// The settings of an upstream that names none.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultConcurrency = 32
)

// DefaultRetry are the waits between attempts: n waits make n+1 attempts.
var DefaultRetry = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// An Upstream is a backend that receives events.
type Upstream struct {
	Name        string
	Format      Format
	Timeout     time.Duration   // for one attempt, up to the final status
	Concurrency int             // attempts under way at once
	Retry       []time.Duration // waits between attempts
	RateLimit   float64         // deliveries per second; 0 is no limit
	Sender      Sender

	// SigningKeys returns the keys that sign each delivery now, in order; it
	// may return none.
	SigningKeys func() []SigningKey

	// Credential returns the value of a header that proves a provider's
	// requests by being secret, as the handler of that provider, source and
	// header name is configured now, for the format raw. While it returns
	// false, or is nil, the deliveries that need the header wait and use no
	// attempt. It is called again about once a second, and must be quick.
	Credential func(provider, source, header string) (value string, ok bool)

	// Identity changes when the upstream has become another backend, so that
	// a pause that the old one earned does not hold the new one up.
	Identity string
}

// A Sender carries one request to an upstream.
//
// It returns as soon as the upstream's final status is known, or with an error
// when ctx ends before; it reads at most 64 KiB of what follows. What its error
// wraps decides what the failure counts for: ErrConnect, ErrUnanswered or
// ErrInternal; any other is the upstream's failure at this event.
//
// The message is the Sender's from then on, to change and to keep.
type Sender interface {
	Send(ctx context.Context, m *Message) (Answer, error)
}

// What a Sender's error may wrap.
var (
	// ErrConnect says that an upstream could not be connected to, so that it
	// has seen nothing of the event.
	ErrConnect = errors.New("could not connect")

	// ErrUnanswered says that a connection was made for the request and ended
	// before a byte of an answer, as behind a load balancer that has no
	// backend. Whether the upstream has seen the event is not known.
	ErrUnanswered = errors.New("the connection ended before an answer began")

	// ErrInternal says that the failure is the gateway's or its
	// configuration's, and says nothing about the upstream.
	ErrInternal = errors.New("the gateway failed, and not the upstream")
)

// A Message is an event rendered for an upstream.
type Message struct {
	Header http.Header // canonical names
	Body   []byte
	Query  string // to be put behind the URL's own, without "?"; raw only

	// Probe says that the message finds out whether a paused upstream is back.
	// No kept connection must carry it: the upstream may have moved.
	Probe bool
}

// An Answer is an upstream's final status. Status 0 says that the upstream, a
// route, answered nothing.
type Answer struct {
	Status     int
	RetryAfter string // the header of that name
}
