package forwarder

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// The content types of the formats structured and binary.
const (
	ContentTypeStructured = "application/cloudevents+json; charset=utf-8"
	ContentTypeBinary     = "application/json"
)

// The headers of a delivery, in the form in which http.Header keeps them.
const (
	headerAttempt     = "Scribegate-Attempt"
	headerContentType = "Content-Type"
	headerID          = "Webhook-Id"
	headerSignature   = "Webhook-Signature"
	headerTimestamp   = "Webhook-Timestamp"
	headerTraceParent = "Traceparent"
	headerTraceState  = "Tracestate"
	headerUserAgent   = "User-Agent"
)

// usualHeaders is how many headers a message has room for at once: as many as a
// map holds without a table. binaryHeaders is how many it has in the format
// binary.
const (
	usualHeaders  = 8
	binaryHeaders = 16
)

// RenderOptions are the parameters of Render.
type RenderOptions struct {
	Format  Format
	Attempt int       // the number of the attempt in the event's budget, from 1
	Now     time.Time // becomes the webhook-timestamp
	Version string    // of Scribegate, for the User-Agent
	Keys    []SigningKey

	// Proof are the headers that prove the event's provider, each with its
	// value, for the format raw.
	Proof []event.Field
}

// Render returns the message of an event: the body in the requested format, and the
// headers of a delivery, with one signature for each key over the exact bytes of the
// body. An unknown format means Structured. If the event's receipt was traced, that
// span is the traceparent, in every format: no provider's signature covers it.
//
// In the format Raw the message shares its body with the event.
func Render(e *event.Event, o RenderOptions) *Message {
	room := usualHeaders
	if o.Format == Binary {
		room = binaryHeaders
	}
	h := make(http.Header, room)
	return RenderInto(h, e, o)
}

// RenderInto is Render with a given header, which should be empty.
func RenderInto(h http.Header, e *event.Event, o RenderOptions) *Message {
	m := &Message{Header: h}
	switch o.Format {
	case Raw:
		m.raw(e, o)
	case Binary:
		m.binary(e)
	default:
		m.structured(e)
	}
	m.sign(e.ID, o)
	m.trace(e)
	return m
}

func (m *Message) structured(e *event.Event) {
	m.Header[headerContentType] = []string{ContentTypeStructured}
	m.Body = e.AppendStructured(nil)
}

func (m *Message) binary(e *event.Event) {
	for name, value := range e.Attributes() {
		m.Header.Set("ce-"+name, value)
	}
	m.Header[headerContentType] = []string{ContentTypeBinary}
	m.Body = e.AppendData(nil)
}

// raw sets what the provider sent. Without a Content-Type of the provider, the header
// has no value, which keeps net/http and proxies from adding one.
func (m *Message) raw(e *event.Event, o RenderOptions) {
	for _, field := range o.Proof {
		m.Header.Add(field.Name, field.Value)
	}
	m.Header[headerContentType] = nil
	if e.ContentType != "" {
		m.Header[headerContentType] = []string{e.ContentType}
	}
	m.Body = e.Body
	// HTTP/2 lets a space into a query, where it would end HTTP/1's request line.
	m.Query = strings.ReplaceAll(e.Query, " ", "%20")
}

// sign sets the headers that every delivery has. They are set last, so that none of
// the provider's headers replaces them.
func (m *Message) sign(id string, o RenderOptions) {
	values := [...]string{ // one allocation for all
		id,
		strconv.FormatInt(o.Now.Unix(), 10),
		strconv.Itoa(o.Attempt),
		"Scribegate/" + o.Version,
		Sign(o.Keys, id, o.Now, m.Body),
	}
	for i, name := range [...]string{headerID, headerTimestamp, headerAttempt, headerUserAgent, headerSignature} {
		if name != headerSignature || len(o.Keys) > 0 {
			m.Header[name] = values[i : i+1 : i+1]
		}
	}
}
