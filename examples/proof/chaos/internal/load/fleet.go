package load

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
)

// A Fleet is a number of senders, each with its own keep-alive connection. Every third request is
// from Soniox, the others are from SOAPNoteAPI.
type Fleet struct {
	URL     string // of the gateway
	Secrets Secrets

	Others []string       // URLs of other gateways, for the requests that this one does not acknowledge
	Pauses *ledger.Pauses // of the gateways, by their URLs; may be nil

	Notes     string // path of SOAPNoteAPI's handler
	NotesOnly bool   // send no requests from Soniox
	Senders   int
	Rate      float64       // requests per second of all senders together; 0 means no limit
	Limit     int           // number of requests; 0 means until stop
	Padding   int           // additional bytes in each note
	Again     bool          // send a request again until it is answered with 200
	Patience  time.Duration // maximum time for an answer
	Upstreams []string      // the upstreams of the events; nil means all backends of the ledger
}

// Post returns a new post. Send the same post again to send the same event: another post with the
// same id may be another event.
func (f Fleet) Post(id string, soniox bool) Post {
	if soniox {
		return Post{"/soniox?user_id=7", sender.Transcription("t-"+id, "completed"), true}
	}
	// A note contains the id twice.
	return Post{f.Notes + "?clinic=7", sender.NoteGenerated(id+strings.Repeat("-", f.Padding/2), time.Now()), false}
}

// Send sends a post once, signed with the current time. The outcome is the status, or one of the
// outcomes in package ledger.
func (f Fleet) Send(ctx context.Context, c *Connection, p Post) (answer sender.Answer, outcome string) {
	var request *http.Request
	var err error
	if p.Soniox {
		request, err = sender.Soniox(ctx, c.url()+p.Path, "Authorization", f.Secrets.Soniox, p.Body)
	} else {
		request, err = sender.SOAPNoteAPI(ctx, c.url()+p.Path, f.Secrets.SOAPNote, p.Body, time.Now())
	}
	if err != nil {
		return answer, err.Error()
	}
	answer, outcome = c.do(request)
	if answer.Status == http.StatusOK && !Acknowledged(answer) {
		outcome = ledger.WithoutID
	}
	return answer, outcome
}

// Connect returns a connection that connects when it is first used.
func (f Fleet) Connect() *Connection {
	return &Connection{address: strings.TrimPrefix(f.URL, "http://"), patience: f.Patience}
}
