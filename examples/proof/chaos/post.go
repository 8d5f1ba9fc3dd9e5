package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// A post is a request of a provider, which may be sent more than once.
type post struct {
	path   string
	body   []byte
	soniox bool
}

// post returns a new post. Send the same post again to send the same event: another post with the
// same id may be another event.
func (f fleet) post(id string, soniox bool) post {
	if soniox {
		return post{"/soniox?user_id=7", sender.Transcription("t-"+id, "completed"), true}
	}
	// A note contains the id twice.
	return post{f.notes + "?clinic=7", sender.NoteGenerated(id+strings.Repeat("-", f.padding/2), time.Now()), false}
}

// send sends a post once, signed with the current time. The outcome is the status, or one of the
// outcomes in book.go.
func (f fleet) send(ctx context.Context, c *connection, p post) (answer sender.Answer, outcome string) {
	var request *http.Request
	var err error
	if p.soniox {
		request, err = sender.Soniox(ctx, f.url+p.path, "Authorization", f.secrets.soniox, p.body)
	} else {
		request, err = sender.SOAPNoteAPI(ctx, f.url+p.path, f.secrets.soapnote, p.body, time.Now())
	}
	if err != nil {
		return answer, err.Error()
	}
	answer, outcome = c.do(request)
	if answer.Status == http.StatusOK && !acknowledged(answer) {
		outcome = withoutID
	}
	return answer, outcome
}

// connect returns a connection that connects when it is first used.
func (f fleet) connect() *connection {
	return &connection{address: strings.TrimPrefix(f.url, "http://"), patience: f.patience}
}

// acknowledged reports whether an answer acknowledges the event.
func acknowledged(a sender.Answer) bool {
	return a.Status == http.StatusOK && a.Received && a.ID != ""
}
