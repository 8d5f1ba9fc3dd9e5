package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// A post is what a provider has to say, and may say more than once.
type post struct {
	path   string
	body   []byte
	soniox bool
}

// post makes the post of an event. Two of the same id are the same event only
// where they are the same post.
func (f fleet) post(id string, soniox bool) post {
	if soniox {
		return post{"/soniox?user_id=7", sender.Transcription("t-"+id, "completed"), true}
	}
	// The id stands in a note twice.
	return post{f.notes + "?clinic=7", sender.NoteGenerated(id+strings.Repeat("-", f.padding/2), time.Now()), false}
}

// send sends a post once, signed as of now. The outcome is the answer's status,
// or what became of the request instead.
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
		outcome = unnamed
	}
	return answer, outcome
}

// connect returns a connection that dials when it is first used.
func (f fleet) connect() *connection {
	return &connection{address: strings.TrimPrefix(f.url, "http://"), patience: f.patience}
}

// acknowledged reports whether an answer takes the event on.
func acknowledged(a sender.Answer) bool {
	return a.Status == http.StatusOK && a.Received && a.ID != ""
}
