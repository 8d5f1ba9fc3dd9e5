package admin

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/scribegate/scribegate/verifier/event"
)

// A Payload is the payload of an event. For a quarantined event it is the received body:
// Body if that is text, or else Bytes.
type Payload struct {
	Event json.RawMessage `json:"event,omitempty"`
	Body  *string         `json:"body,omitempty"`
	Bytes []byte          `json:"body_base64,omitempty"`
}

// NewPayload returns the payload of an event.
func NewPayload(e *event.Event, quarantined bool) Payload {
	if !quarantined {
		return Payload{Event: e.AppendStructured(nil)}
	}
	if utf8.Valid(e.Body) {
		body := string(e.Body)
		return Payload{Body: &body}
	}
	return Payload{Bytes: e.Body}
}
