package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func (a *API) events(ctx context.Context, g *gateway.Gateway, r *http.Request, _ queue.Progress) (any, error) {
	query := r.URL.Query()
	f, err := eventFilter(query)
	if err != nil {
		return nil, err
	}
	history := query.Get("history")
	if history != "" && history != "true" && history != "false" {
		return nil, admin.BadRequest("history must be true or false")
	}
	if err := operate.KnownUpstream(g, f.Upstream); err != nil {
		return nil, err
	}
	page, err := g.Queue().Events(ctx, f)
	if err != nil {
		return nil, err
	}
	out := admin.EventPage{Events: make([]admin.Event, len(page.Records)), NextCursor: page.Next}
	for i, rec := range page.Records {
		out.Events[i] = admin.NewEvent(rec, history == "true")
	}
	return out, nil
}

// eventFilter returns the filter in a query. An empty parameter is not a filter.
func eventFilter(query url.Values) (f queue.Filter, err error) {
	f = queue.Filter{
		State:    queue.State(query.Get("state")),
		Upstream: query.Get("upstream"),
		Subject:  query.Get("subject"),
		Type:     query.Get("type"),
		Limit:    admin.DefaultLimit,
		Cursor:   query.Get("cursor"),
	}
	if err := admin.CheckState(f.State); err != nil {
		return f, err
	}
	if f.Subject != "" && !admin.SubjectForm.MatchString(f.Subject) {
		return f, admin.BadRequest("subject must be the id of a note or transcription: 1 to 128 letters, digits and the characters . _ : -")
	}
	if f.Type != "" && !admin.TypeForm.MatchString(f.Type) {
		return f, admin.BadRequest("type must be a short type, such as note.generated: 1 to 64 letters, digits and the characters . _ -")
	}
	if since := query.Get("since"); since != "" {
		if f.Since, err = operate.Ago("since", since); err != nil {
			return f, err
		}
	}
	if limit := query.Get("limit"); limit != "" {
		if f.Limit, err = strconv.Atoi(limit); err != nil || f.Limit < 1 || f.Limit > admin.MaxLimit {
			return f, admin.BadRequest("limit must be a whole number from 1 to %d", admin.MaxLimit)
		}
	}
	return f, nil
}

func (a *API) event(ctx context.Context, g *gateway.Gateway, r *http.Request, _ queue.Progress) (any, error) {
	rec, err := g.Queue().Event(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return admin.NewEvent(rec, true), nil
}

func (a *API) payload(ctx context.Context, g *gateway.Gateway, r *http.Request, _ queue.Progress) (any, error) {
	id := r.PathValue("id")
	if c := g.Config(); c == nil || !c.AdminPayloads {
		return nil, admin.Error{Status: http.StatusForbidden, Text: "payloads are not handed out; put admin_payloads into the scribegate block to allow it"}
	}
	e, err := g.Queue().Payload(ctx, id)
	if err != nil {
		return nil, err
	}
	rec, err := g.Queue().Event(ctx, id)
	if err != nil {
		return nil, err
	}
	a.audit.PayloadRead(rec, audit.ActorOf(r))
	a.logger.Warn("a payload was read through the admin API", zap.String("event_id", id), logging.Subject(rec.Subject), zap.String("remote", r.RemoteAddr))
	return admin.NewPayload(e, rec.State == queue.Quarantined), nil
}
