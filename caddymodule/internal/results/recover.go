package results

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/result/recovery"
	"github.com/scribegate/scribegate/forwarder/result/soapnoteapi"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier/event"
)

// A Store is what a recovery needs of the gateway.
type Store interface {
	// Known reports whether the store has an event with the id.
	Known(ctx context.Context, id string) (bool, error)

	// KnownSubject reports whether the store has an event of the provider with the
	// subject, and WaitsFor whether such an event is not delivered yet.
	KnownSubject(ctx context.Context, provider, subject string) (bool, error)
	WaitsFor(ctx context.Context, provider, subject string) (bool, error)

	// Take stores an event that the provider's API returned, and reports whether it is
	// new. by is who requested it, for the audit trail. With again, an event that
	// the store only has the record of is new.
	Take(ctx context.Context, e *event.Event, by string, again bool) (bool, error)

	// HistoryRetention is how long the store remembers delivered events.
	HistoryRetention() time.Duration
}

// A Recovery is a recovery that an operator requested.
type Recovery struct {
	Store   Store
	Request admin.RecoverRequest
	Since   time.Time // of the request; zero if it has none
	Before  time.Time // of a prune
	By      string    // for the audit trail
	Report  func(done, total int64)
}

// Soniox is the API of Soniox, for the handlers with a source.
type Soniox struct {
	Client     soniox.Client
	WebhookURL string // "" if it is not configured

	// New returns the event of a webhook with the body and the query.
	New func(body []byte, query string) (*event.Event, error)
}

func (s Soniox) events(store Store, by string) recovery.Events {
	return recovery.Events{
		New: s.New, Known: store.Known,
		Take: func(ctx context.Context, e *event.Event) (bool, error) { return store.Take(ctx, e, by, false) },
	}
}

// Recover recovers or prunes.
func (s Soniox) Recover(ctx context.Context, r Recovery) (done admin.Recovered, err error) {
	switch {
	case len(r.Request.IDs) > 0:
		return done, admin.BadRequest("ids are for soapnoteapi: soniox lists the transcriptions itself")
	case s.WebhookURL == "":
		return done, admin.BadRequest("the handler has no webhook_url, so its transcriptions cannot be told from others; add webhook_url, the URL of this handler as Soniox was given it")
	}
	by := recovery.Soniox{API: s.Client, WebhookURL: s.WebhookURL, DryRun: r.Request.DryRun}
	if !r.Before.IsZero() {
		res, err := by.Prune(ctx, r.Before, func(ctx context.Context, id string) (bool, error) {
			return r.Store.WaitsFor(ctx, "soniox", id)
		}, func(n, total int) {
			if r.Report != nil {
				r.Report(int64(n), int64(total))
			}
		})
		return pruned(res), err
	}
	retention := r.Store.HistoryRetention()
	oldest := time.Now().Add(-retention)
	if r.Since.IsZero() {
		r.Since = oldest
	}
	if r.Since.Before(oldest.Add(-time.Second)) && !r.Request.Force {
		return done, admin.BadRequest("since goes back further than history_retention, which is %s: the store does not remember what was delivered before, and would deliver it again; use force to do so", retention)
	}
	res, err := by.Recover(ctx, r.Since, s.events(r.Store, r.By))
	return recovered(res), err
}

// SOAPNoteAPI is the API of SOAPNoteAPI, for the handlers with a source.
type SOAPNoteAPI struct {
	Client soapnoteapi.Client

	// New returns the event of a note.
	New func(noteID string, n soapnoteapi.Note) *event.Event
}

// Recover recovers notes.
func (s SOAPNoteAPI) Recover(ctx context.Context, r Recovery) (done admin.Recovered, err error) {
	switch {
	case len(r.Request.IDs) == 0:
		return done, admin.BadRequest(`name the notes to recover: {"provider":"soapnoteapi","ids":["..."]}`)
	case !r.Since.IsZero(), !r.Before.IsZero(), r.Request.DryRun:
		return done, admin.BadRequest("since, prune and dry_run are for soniox: SOAPNoteAPI has no list of notes")
	}
	res, err := recovery.SOAPNoteAPI{
		API: s.Client, Force: r.Request.Force, New: s.New,
		Known: func(ctx context.Context, id string) (bool, error) {
			return r.Store.KnownSubject(ctx, "soapnoteapi", id)
		},
		Take: func(ctx context.Context, e *event.Event) (bool, error) {
			return r.Store.Take(ctx, e, r.By, r.Request.Force)
		},
	}.Recover(ctx, r.Request.IDs)
	return recovered(res), err
}

// pruned returns the result of a prune in the form of the admin API.
func pruned(r recovery.Result) admin.Recovered {
	r.Known = r.Waiting
	out := recovered(r)
	out.Pruned = append([]string{}, r.Pruned...)
	return out
}

func recovered(r recovery.Result) admin.Recovered {
	out := admin.Recovered{Recovered: []string{}, Known: []string{}, Failed: []admin.RecoverFailure{}}
	out.Recovered = append(out.Recovered, r.Recovered...)
	out.Known = append(out.Known, r.Known...)
	for _, f := range r.Failed {
		out.Failed = append(out.Failed, admin.RecoverFailure(f))
	}
	return out
}

// Recover recovers with the API that the request names.
func Recover(ctx context.Context, apis []API, r Recovery) (done admin.Recovered, err error) {
	var sources []string
	var found *API
	for i, a := range apis {
		if a.Provider == r.Request.Provider && (r.Request.Source == "" || r.Request.Source == a.Source) {
			found = &apis[i]
			sources = append(sources, a.Source)
		}
	}
	switch {
	case r.Request.Provider != admin.RecoverSoniox && r.Request.Provider != admin.RecoverSOAPNoteAPI:
		return done, admin.BadRequest(`name the provider: {"provider":"soniox"} or {"provider":"soapnoteapi","ids":["..."]}`)
	case found == nil && r.Request.Source != "":
		return done, admin.BadRequest("no %s handler with the source %q has an api_key", r.Request.Provider, r.Request.Source)
	case found == nil:
		return done, admin.Error{Status: http.StatusConflict, Text: fmt.Sprintf("no %s handler has an api_key, so its API cannot be asked; add api_key", r.Request.Provider)}
	case len(sources) > 1:
		return done, admin.BadRequest("several %s handlers have an api_key; choose one by its source: %s", r.Request.Provider, strings.Join(sources, ", "))
	}
	return found.Recover(ctx, r)
}
