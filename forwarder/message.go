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

// RenderOptions say how an event is put into a message.
type RenderOptions struct {
	Format  Format
	Attempt int       // the attempt of the event's budget that this is, from 1
	Now     time.Time // becomes the webhook-timestamp
	Version string    // of Scribegate, for the User-Agent
	Keys    []SigningKey

	// Proof are the headers that prove the event's provider, each with its
	// value, for the format raw.
	Proof []event.Field
}

// Render puts an event into a message: its body in the format asked for, and
// the headers of a delivery, with one signature for each key over the exact
// bytes of the body. A format that is none of the three is taken for Structured.
// An event whose receipt was traced has that span for its traceparent, in every
// format: no provider's proof covers a header more.
//
// The message shares its body with the event where the format is Raw.
func Render(e *event.Event, o RenderOptions) *Message {
	room := usualHeaders
	if o.Format == Binary {
		room = binaryHeaders
	}
	h := make(http.Header, room)
	return RenderInto(h, e, o)
}

// RenderInto is Render with the header given, which should be empty.
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

// raw sets what the provider sent. Where it sent no Content-Type the header is
// there without a value, which keeps anybody behind from making one up.
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

// sign sets the headers that every delivery has. They come last, so that no
// header of the provider's takes their place.
func (m *Message) sign(id string, o RenderOptions) {
	values := [...]string{ // in one piece of memory
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
