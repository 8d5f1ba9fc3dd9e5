package recovery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier/event"
)

// Events makes and stores the events of transcriptions.
type Events struct {
	// New returns the event of a webhook with the body and the query.
	New func(body []byte, query string) (*event.Event, error)

	// Known reports whether the store has any trace of an event, however old.
	Known func(ctx context.Context, id string) (bool, error)

	// Take stores an event that was recovered, and reports whether it was new.
	Take func(ctx context.Context, e *event.Event) (bool, error)
}

// take makes and stores the event of a transcription that was missed, unless it is known.
func (x Events) take(ctx context.Context, t soniox.Transcription, query string, dryRun bool) (taken bool, err error) {
	body := fmt.Appendf(nil, `{"id":"%s","status":"%s"}`, t.ID, t.Status) // both are plain words
	e, err := x.New(body, query)
	if err != nil {
		return false, err
	}
	known, err := x.Known(ctx, e.ID)
	if err != nil || known {
		return false, err
	}
	if dryRun {
		return true, nil
	}
	return x.Take(ctx, e)
}

// webhookGrace is the age of a transcription without a webhook's answer from which its
// webhook counts as missed: before that, it may be on its way. It would be a duplicate then.
const webhookGrace = 5 * time.Second

// A Reconciler finds transcriptions whose webhook did not arrive, a look at a time. Its
// first look goes through the whole list; each later one reads one page, from where the
// last one ended. It is not safe for concurrent use.
type Reconciler struct {
	API        soniox.Lister
	WebhookURL string        // the handler's address; its query is ignored
	Retention  time.Duration // how old a transcription may be: the history_retention
	Events     Events

	cursor   string
	caughtUp bool
}

// Look looks once, and returns the ids of the transcriptions whose events it stored. On
// an error it returns those that were stored before, and the next look begins with the
// same page.
func (r *Reconciler) Look(ctx context.Context) (taken []string, err error) {
	at, _, ok := addressOf(r.WebhookURL)
	if !ok {
		return nil, errors.New("reconciling: webhook_url is not a URL")
	}
	for {
		page, next, err := r.API.List(ctx, r.cursor)
		if err != nil {
			if e, ok := errors.AsType[*rest.Error](err); ok && e.Status == http.StatusBadRequest {
				r.cursor = "" // it is not valid any more
			}
			return taken, fmt.Errorf("reconciling: %w", err)
		}
		now := time.Now()
		for _, t := range page {
			query, ok := missed(t, at, now.Add(-r.Retention))
			if !ok || t.WebhookStatus == 0 && now.Sub(t.CreatedAt) < webhookGrace {
				continue
			}
			stored, err := r.Events.take(ctx, t, query, false)
			if err != nil {
				return taken, fmt.Errorf("reconciling transcription %s: %w", t.ID, err)
			}
			if stored {
				taken = append(taken, t.ID)
			}
		}
		repeated := next == r.cursor
		if r.cursor = next; repeated {
			r.cursor = ""
		}
		if r.cursor == "" {
			r.caughtUp = true
		}
		if r.caughtUp {
			return taken, nil
		}
	}
}
