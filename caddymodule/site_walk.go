package caddymodule

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// A siteWalk looks for scribegate handlers in the routes of one server.
type siteWalk struct {
	logger *zap.Logger
	named  map[string]*caddyhttp.Route
}

// An act is what a handler does with the requests that match, from the outer route
// to the inner.
type act struct {
	directive string
	denies    bool   // it refuses requests by more than their path
	prevents  string // why requests that match do not reach a later handler; "" where they do
	matchers  []caddyhttp.MatcherSets
}

// routes looks through a list of routes. Requests come there that match the outer
// matchers and have passed what is before; what the list does not answer comes to
// what is behind.
func (w siteWalk) routes(routes caddyhttp.RouteList, outer []caddyhttp.MatcherSets, before, behind []act) {
	for i, r := range routes {
		rest := slices.Concat(w.acts(routes[i+1:], outer), behind)
		if r.Terminal {
			rest = nil
		}
		w.handlers(r.Handlers, slices.Concat(outer, []caddyhttp.MatcherSets{r.MatcherSets}), slices.Concat(before, w.acts(routes[:i], outer)), rest)
	}
}

func (w siteWalk) handlers(handlers []caddyhttp.MiddlewareHandler, matchers []caddyhttp.MatcherSets, before, behind []act) {
	for i, handler := range handlers {
		before := slices.Concat(before, w.actsOf(handlers[:i], matchers))
		behind := slices.Concat(w.actsOf(handlers[i+1:], matchers), behind)
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			w.routes(h.Routes, matchers, before, behind)
		case *caddyhttp.Invoke:
			if named := w.named[h.Name]; named != nil {
				w.handlers(named.Handlers, matchers, before, behind)
			}
		case *Handler:
			w.warn(h, matchers, before, behind)
		}
	}
}

// acts returns what a list of routes does.
func (w siteWalk) acts(routes caddyhttp.RouteList, outer []caddyhttp.MatcherSets) (found []act) {
	for _, r := range routes {
		found = append(found, w.actsOf(r.Handlers, slices.Concat(outer, []caddyhttp.MatcherSets{r.MatcherSets}))...)
	}
	return found
}

func (w siteWalk) actsOf(handlers []caddyhttp.MiddlewareHandler, matchers []caddyhttp.MatcherSets) (found []act) {
	for _, handler := range handlers {
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			found = append(found, w.acts(h.Routes, matchers)...)
		case *caddyhttp.Invoke:
			if named := w.named[h.Name]; named != nil {
				found = append(found, w.actsOf(named.Handlers, matchers)...)
			}
		default:
			if a := actOf(handler, matchers); a.denies || a.prevents != "" {
				found = append(found, a)
			}
		}
	}
	return found
}
