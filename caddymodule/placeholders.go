package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// The placeholders that are set on each request.
const (
	placeholderEventID  = "http.scribegate.event_id"
	placeholderType     = "http.scribegate.type"
	placeholderProvider = "http.scribegate.provider"
	placeholderOutcome  = "http.scribegate.outcome"
	placeholderReason   = "http.scribegate.reason"
)

// describe sets the placeholders of a request, and adds the event's id to its line in the access
// log. The event is nil unless the request is genuine. The reason is empty unless the request
// was rejected.
func (h *Handler) describe(r *http.Request, e *event.Event, o receive.Outcome, reason verifier.Reason) {
	ctx := r.Context()
	var id, shortType string
	if e != nil {
		id, shortType = e.ID, e.ShortType()
	}
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set(placeholderEventID, id)
		repl.Set(placeholderType, shortType)
		repl.Set(placeholderProvider, h.provider.Name())
		repl.Set(placeholderOutcome, string(o))
		repl.Set(placeholderReason, string(reason))
	}
	if e == nil {
		return
	}
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Logs == nil {
		return // there is no access log
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("event_id", id))
	}
}
