package verifier

import (
	"github.com/scribegate/scribegate/verifier/event"
)

// The known events of SOAPNoteAPI; the provider may add others.
const (
	noteGenerated = "note.generated"
	noteFailed    = "note.failed"
)

// The statuses that the gateway sets.
const (
	statusCompleted = "completed"
	statusFailed    = "failed"
	statusTest      = "test"
	statusOther     = "other"
)

// A notePayload is the part of a body of SOAPNoteAPI that the gateway reads.
type notePayload struct {
	event, noteID, status, createdAt string

	data      event.Span
	isObject  bool   // whether data is an object
	expiresAt string // data's expires_at where it is RFC 3339
}

// Event reads a body of SOAPNoteAPI: a JSON object with the non-empty strings
// event, note_id, status and created_at and, for note.generated, the object data.
// An event of another name is accepted too, and carries the payload as raw.
func (s SOAPNoteAPI) Event(r Request) (*event.Event, error) {
	p, err := parseNote(r.Body)
	if err != nil {
		return nil, err
	}
	short := p.event
	if !event.IsShortType(short) {
		short = event.Other
	}
	e := s.blank(r, short)
	e.ObjectID = p.noteID
	e.Note = p.data
	e.ExpiryTime = p.expiresAt
	if isWord(p.noteID, 128, "._:-") {
		e.Subject = p.noteID
	}
	if event.IsRFC3339(p.createdAt) {
		e.OccurredAt = p.createdAt
		e.Time = p.createdAt
	} else {
		e.Time = event.FormatTime(r.ReceivedAt)
	}
	switch p.event {
	case noteGenerated:
		e.Status = statusCompleted
	case noteFailed:
		e.Status = statusFailed
	case event.Test:
		e.Status = statusTest
	default:
		e.WithRaw = true
		e.Status = statusOther
		if isWord(p.status, 64, "._-") {
			e.Status = p.status
		}
	}
	return e, nil
}

// Quarantine returns an event without content that keeps the bytes: SOAPNoteAPI
// never retries a failed delivery.
func (s SOAPNoteAPI) Quarantine(r Request) *event.Event {
	e := s.blank(r, event.Other)
	e.Status = statusOther
	e.Time = event.FormatTime(r.ReceivedAt)
	return e
}

// blank returns an event of a request with everything that does not come from the
// payload, and the short type. Status and time are not set.
func (s SOAPNoteAPI) blank(r Request, short string) *event.Event {
	return &event.Event{
		ID:          eventID(s.Name(), r.Source, r.Body),
		Source:      r.Source,
		Type:        event.TypePrefix(s.Name()) + short,
		Provider:    s.Name(),
		Kind:        event.KindNote,
		ReceivedAt:  r.ReceivedAt,
		Metadata:    event.ParseQuery(r.Query, r.Keep),
		Body:        r.Body,
		ContentType: r.Header.Get("Content-Type"),
		Proof: []event.Field{
			{Name: SignatureHeader, Value: only(r.Header[signatureKey])},
			{Name: TimestampHeader, Value: only(r.Header[timestampKey])},
		},
		Query: r.Query,
	}
}

func parseNote(body []byte) (p notePayload, err error) {
	env, err := openEnvelope(body)
	if err != nil {
		return p, err
	}
	defer env.close()
	for {
		name, ok, err := env.next()
		if err != nil {
			return p, err
		}
		if !ok {
			return p, p.check()
		}
		switch string(name) {
		case "event":
			p.event, err = env.text("event")
		case "note_id":
			p.noteID, err = env.text("note_id")
		case "status":
			p.status, err = env.text("status")
		case "created_at":
			p.createdAt, err = env.text("created_at")
		case "data":
			p.data, p.expiresAt, p.isObject, err = env.object("expires_at", event.IsRFC3339)
		default:
			_, err = env.value()
		}
		if err != nil {
			return p, err
		}
	}
}

// check checks a payload that was read to its end. A member that was read is not
// empty.
func (p *notePayload) check() error {
	switch {
	case p.event == "":
		return invalid("event is missing")
	case p.noteID == "":
		return invalid("note_id is missing")
	case p.status == "":
		return invalid("status is missing")
	case p.createdAt == "":
		return invalid("created_at is missing")
	case p.event == noteGenerated && p.data.Empty():
		return invalid("data is missing")
	case p.event == noteGenerated && !p.isObject:
		return invalid("data is not an object")
	}
	return nil
}
