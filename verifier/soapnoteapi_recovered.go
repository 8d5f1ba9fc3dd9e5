package verifier

import (
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// A RecoveredNote is a note that was fetched from SOAPNoteAPI's REST API because its
// webhook never arrived.
type RecoveredNote struct {
	Source    string // the event's source, a URI
	ID        string
	JSON      []byte // the note, a JSON object
	ExpiresAt string // the note's own; left out unless it is RFC 3339
	At        time.Time
}

// Event returns the event of the note. It is a note.generated that has no proof, since
// nothing signed it, so it cannot be delivered in the format raw. Its id is not that of the
// webhook, whose bytes are not known.
func (n RecoveredNote) Event() *event.Event {
	e := SOAPNoteAPI{}.blank(Request{Source: n.Source, Body: n.JSON, ReceivedAt: n.At}, noteGenerated)
	e.ID = eventID(e.Provider, n.Source, []byte(n.ID+"\x00recovered"))
	e.ObjectID = n.ID
	if isWord(n.ID, 128, "._:-") {
		e.Subject = n.ID
	}
	e.Status = statusCompleted
	e.Time = event.FormatTime(n.At)
	if event.IsRFC3339(n.ExpiresAt) {
		e.ExpiryTime = n.ExpiresAt
	}
	e.Note = event.Span{End: len(n.JSON)}
	e.Proof = nil
	return e
}
