package receive

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
)

// ErrFormat is returned for a verified delivery that is not a CloudEvent.
var ErrFormat = errors.New("the body is neither a structured nor a binary CloudEvent: set `format structured` or `format binary` for this upstream")

// An Event is the content of a delivery.
type Event struct {
	ID   string          // the delivery's webhook-id
	Type string          // such as "com.soapnoteapi.note.generated"
	Data json.RawMessage // provider, kind, id, status, metadata and, if there is one, the note
}

// ParseEvent returns the event of a verified delivery, in either format.
//
// The signature covers webhook-id, webhook-timestamp and the body. In the binary
// format the type is a header, and the signature does not cover it: decide by Data.
func ParseEvent(h http.Header, body []byte) (Event, error) {
	id := h.Get("Webhook-Id")
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return Event{}, ErrFormat
	}
	if mediaType != "application/cloudevents+json" {
		e := Event{ID: id, Type: h.Get("Ce-Type"), Data: body}
		if e.Type == "" || h.Get("Ce-Id") != id || !json.Valid(body) {
			return Event{}, ErrFormat
		}
		return e, nil
	}

	var e struct {
		ID   string          `json:"id"`
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	// Do not return the decoder's error: its text can quote the body.
	if err := json.Unmarshal(body, &e); err != nil || e.Type == "" || e.ID != id {
		return Event{}, ErrFormat
	}
	return Event(e), nil
}
