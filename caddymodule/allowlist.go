package caddymodule

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// warnAllowLists logs a warning for each scribegate handler behind which a site
// denies requests by more than their path, such as their address. A Caddyfile
// orders `scribegate` before `abort`, `error` and `respond`: a request that they
// would deny is stored and answered before it gets there. The configuration must
// have been provisioned.
func (a *App) warnAllowLists() {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		w := allowLists{logger: a.logger, named: server.NamedRoutes}
		w.routes(server.Routes, nil, nil, nil)
	}
}

// allowLists looks through the routes of one server.
type allowLists struct {
	logger *zap.Logger
	named  map[string]*caddyhttp.Route
}

// A denial is a handler that refuses requests, and what those match, from the
// outer route to the inner.
type denial struct {
	directive string
	matchers  []caddyhttp.MatcherSets
}

// routes looks through a list of routes. Requests come there that match the outer
// matchers and were refused by none of the denials before; what the list does not
// answer comes to the denials behind.
func (w allowLists) routes(routes caddyhttp.RouteList, outer []caddyhttp.MatcherSets, before, behind []denial) {
	for i, r := range routes {
		rest := w.denials(routes[i+1:], outer)
		if rest = slices.Concat(rest, behind); r.Terminal {
			rest = nil
		}
		w.handlers(r.Handlers, slices.Concat(outer, []caddyhttp.MatcherSets{r.MatcherSets}), slices.Concat(before, w.denials(routes[:i], outer)), rest)
	}
}

func (w allowLists) handlers(handlers []caddyhttp.MiddlewareHandler, matchers []caddyhttp.MatcherSets, before, behind []denial) {
	for i, handler := range handlers {
		before := slices.Concat(before, w.denialsOf(handlers[:i], matchers))
		behind := slices.Concat(w.denialsOf(handlers[i+1:], matchers), behind)
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			w.routes(h.Routes, matchers, before, behind)
		case *caddyhttp.Invoke:
			if named := w.named[h.Name]; named != nil {
				w.handlers(named.Handlers, matchers, before, behind)
			}
		case *Handler:
			w.handler(h, matchers, before, behind)
		}
	}
}

// handler warns about a scribegate handler that lets in what is denied behind it.
// A checkpoint does not: it passes requests on.
func (w allowLists) handler(h *Handler, matchers []caddyhttp.MatcherSets, before, behind []denial) {
	concerned := func(d denial) bool { return !apart(d.matchers, matchers) }
	if len(h.DeliverTo) == 0 || condition(matchers) != byPath || slices.ContainsFunc(before, concerned) {
		return
	}
	if i := slices.IndexFunc(behind, concerned); i >= 0 {
		w.logger.Warn("an allow-list does not hold: a directive with a matcher denies requests that scribegate has answered before it; put the condition into scribegate's matcher, or both into a route block with that directive first",
			zap.String("directive", behind[i].directive), zap.String("provider", h.provider.Name()), zap.Strings("paths", paths(matchers)))
	}
}

// denials returns what is refused in a list of routes by more than its path.
func (w allowLists) denials(routes caddyhttp.RouteList, outer []caddyhttp.MatcherSets) (found []denial) {
	for _, r := range routes {
		found = append(found, w.denialsOf(r.Handlers, slices.Concat(outer, []caddyhttp.MatcherSets{r.MatcherSets}))...)
	}
	return found
}

func (w allowLists) denialsOf(handlers []caddyhttp.MiddlewareHandler, matchers []caddyhttp.MatcherSets) (found []denial) {
	add := func(directive string, denies bool) {
		if by := condition(matchers); by == byAddress || by == byMore && denies {
			found = append(found, denial{directive, matchers})
		}
	}
	for _, handler := range handlers {
		switch h := handler.(type) {
		case *caddyhttp.StaticResponse:
			if h.Abort {
				add("abort", true)
			} else {
				add("respond", h.StatusCode >= "400")
			}
		case *caddyhttp.StaticError:
			add("error", true)
		case *caddyhttp.Subroute:
			found = append(found, w.denials(h.Routes, matchers)...)
		case *caddyhttp.Invoke:
			if named := w.named[h.Name]; named != nil {
				found = append(found, w.denialsOf(named.Handlers, matchers)...)
			}
		}
	}
	return found
}
