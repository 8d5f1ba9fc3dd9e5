package caddymodule

import (
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/console"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/caddymodule/internal/sites"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// route returns the upstreams that receive an event of the type, with the stages of the
// event, and the outcome that follows from it.
func (h *Handler) route(shortType string) ([]string, receive.Outcome) {
	if h.drops(shortType) {
		return nil, receive.Dropped
	}
	to := make([]string, 0, len(h.DeliverTo)+len(h.stages))
	for _, name := range h.DeliverTo {
		if h.app.upstream(name).filter.Match(shortType) {
			to = append(to, name)
		}
	}
	switch {
	case len(to) > 0:
		return append(to, h.stages...), receive.Accepted
	case shortType == event.Test:
		return nil, receive.Accepted
	}
	return nil, receive.Unrouted
}

// route returns the upstreams that an event is delivered to by the handlers with its
// provider and source, and its stages, or nil if there are none. An upstream with the
// format raw receives only what the provider sent.
func (a *App) route(e *event.Event) (to []string) {
	for _, h := range a.handlers {
		if h.provider.Name() != e.Provider || h.Source != e.Source {
			continue
		}
		names, _ := h.route(e.ShortType())
		for _, name := range names {
			u := a.upstream(name)
			if !slices.Contains(to, name) && (u == nil || u.Format != forwarder.Raw || wasSent(e)) {
				to = append(to, name)
			}
		}
	}
	if !slices.ContainsFunc(to, func(name string) bool { return !queue.IsStage(name) }) {
		return nil
	}
	return to
}

// item returns an event that its provider's API returned, as it is stored, and its outcome.
func (a *App) item(e *event.Event) (queue.Item, receive.Outcome) {
	it := queue.Item{Event: e, Upstreams: a.route(e), Recovered: true}
	o := receive.Accepted
	switch {
	case len(it.Upstreams) > 0:
	case slices.ContainsFunc(a.handlers, func(h *Handler) bool {
		return h.provider.Name() == e.Provider && h.Source == e.Source && h.drops(e.ShortType())
	}):
		o = receive.Dropped
	default:
		o, it.State = receive.Unrouted, queue.Unrouted
	}
	return it, o
}

// wasSent reports whether the provider sent the event in a request. A recovered note has
// neither a proof nor a content type.
func wasSent(e *event.Event) bool { return len(e.Proof) > 0 || e.ContentType != "" }

// drops reports whether the handler's `drop` has the type.
func (h *Handler) drops(shortType string) bool {
	return len(h.Drop) > 0 && forwarder.Filter(h.Drop).Match(shortType)
}

// eventTypes returns the types of the events that the handler's provider sends today, if it
// names them.
func (h *Handler) eventTypes() (types []string, known bool) {
	typer, known := h.provider.(verifier.EventTyper)
	if !known {
		return nil, false
	}
	return typer.EventTypes(), true
}

// reaches reports whether an upstream may receive an event of the handler: one of a type that
// the provider sends today, or any if the provider does not name its types.
func (h *Handler) reaches(u *Upstream) bool {
	types, known := h.eventTypes()
	return !known || slices.ContainsFunc(types, func(shortType string) bool {
		return !h.drops(shortType) && u.filter.Match(shortType)
	})
}

// delivers reports whether the handler's events reach at least one of its upstreams.
func (h *Handler) delivers() bool {
	return slices.ContainsFunc(h.DeliverTo, func(name string) bool { return h.reaches(h.app.upstream(name)) })
}

// rawUpstream returns the name of an upstream with the format raw that the
// handler's events reach, or "".
func (h *Handler) rawUpstream() string {
	for _, name := range h.DeliverTo {
		if u := h.app.upstream(name); u.Format == forwarder.Raw && h.reaches(u) {
			return name
		}
	}
	return ""
}

// endpoint returns the endpoint that an HTTP handler is, if it is a Handler or a Console.
func endpoint(handler caddyhttp.MiddlewareHandler) (sites.Endpoint, bool) {
	switch h := handler.(type) {
	case *Handler:
		return sites.Endpoint{Directive: handlerName, Provider: h.provider.Name(), Answers: len(h.DeliverTo) > 0}, true
	case *console.Console:
		return sites.Endpoint{Directive: console.Directive, Answers: true}, true
	}
	return sites.Endpoint{}, false
}

// maxTypes is the largest size of a typeSet: a provider may send any number of types.
const maxTypes = 100

// A typeSet is a set of event types. The zero value is empty and ready.
type typeSet struct {
	mu   sync.Mutex
	seen map[[2]string]bool
}

// add adds a provider's type, and reports whether it was added: it was not in the set, and the
// set is not full.
func (s *typeSet) add(provider, shortType string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{provider, shortType}
	if s.seen[key] || len(s.seen) >= maxTypes {
		return false
	}
	if s.seen == nil {
		s.seen = make(map[[2]string]bool)
	}
	s.seen[key] = true
	return true
}

// warnUnrouted logs an event whose type no upstream takes.
func (h *Handler) warnUnrouted(e *event.Event) {
	h.logger.Warn("an event was answered and is not delivered, since no upstream takes its type; its payload is kept for dead_retention; add the type to the `events` of an upstream and run `caddy scribegate replay --unrouted`, or add it to this handler's `drop` if no upstream needs it; further events of this type are kept and not logged",
		zap.String("event_id", e.ID), logging.Subject(e.Subject), zap.String("type", e.ShortType()), zap.String("source", e.Source), zap.Strings("upstreams", h.DeliverTo))
}
