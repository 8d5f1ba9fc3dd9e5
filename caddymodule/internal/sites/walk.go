package sites

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// A walk finds the endpoints in the routes of one server.
type walk struct {
	logger   *zap.Logger
	endpoint func(caddyhttp.MiddlewareHandler) (Endpoint, bool)
	named    map[string]*caddyhttp.Route
}

// An act is the effect of a handler on the requests that match.
type act struct {
	directive string
	denies    bool                    // it denies requests by more than their path
	executes  bool                    // it executes the answers to them as templates
	prevents  string                  // why requests that match do not reach a later handler; "" if they do
	matchers  []caddyhttp.MatcherSets // from the outer route to the inner
}

// routes walks through a list of routes. A request reaches the list if it matches the outer
// matchers and the acts before have passed it on. A request that the list does not answer
// reaches the acts behind.
func (w walk) routes(routes caddyhttp.RouteList, outer []caddyhttp.MatcherSets, before, behind []act) {
	for i, r := range routes {
		rest := slices.Concat(w.acts(routes[i+1:], outer), behind)
		if r.Terminal {
			rest = nil
		}
		w.handlers(r.Handlers, slices.Concat(outer, []caddyhttp.MatcherSets{r.MatcherSets}), slices.Concat(before, w.acts(routes[:i], outer)), rest)
	}
}

func (w walk) handlers(handlers []caddyhttp.MiddlewareHandler, matchers []caddyhttp.MatcherSets, before, behind []act) {
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
		default:
			if e, ok := w.endpoint(handler); ok {
				w.warn(e, matchers, before, behind)
			}
		}
	}
}

// acts returns the acts of a list of routes.
func (w walk) acts(routes caddyhttp.RouteList, outer []caddyhttp.MatcherSets) (found []act) {
	for _, r := range routes {
		found = append(found, w.actsOf(r.Handlers, slices.Concat(outer, []caddyhttp.MatcherSets{r.MatcherSets}))...)
	}
	return found
}

func (w walk) actsOf(handlers []caddyhttp.MiddlewareHandler, matchers []caddyhttp.MatcherSets) (found []act) {
	for _, handler := range handlers {
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			found = append(found, w.acts(h.Routes, matchers)...)
		case *caddyhttp.Invoke:
			if named := w.named[h.Name]; named != nil {
				found = append(found, w.actsOf(named.Handlers, matchers)...)
			}
		default:
			if a := w.actOf(handler, matchers); a.denies || a.executes || a.prevents != "" {
				found = append(found, a)
			}
		}
	}
	return found
}
