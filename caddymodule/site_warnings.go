package caddymodule

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// warnSites logs a warning for each scribegate handler that no request reaches,
// since an earlier directive of the site takes all of them. It logs another warning
// for each handler that runs before a directive that denies requests by more than
// their path, such as by address: a Caddyfile orders `scribegate` before `abort`,
// `error` and `respond`, so a request that they would deny is stored and answered
// first. The configuration must have been provisioned.
func (a *App) warnSites() {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		w := siteWalk{logger: a.logger, named: server.NamedRoutes}
		w.routes(server.Routes, nil, nil, nil)
	}
}

// warn warns about one scribegate handler.
func (w siteWalk) warn(h *Handler, matchers []caddyhttp.MatcherSets, before, behind []act) {
	about := []zap.Field{zap.String("provider", h.provider.Name()), zap.Strings("paths", paths(matchers))}
	if i := slices.IndexFunc(before, func(a act) bool { return a.prevents != "" && covers(a.matchers, matchers) }); i >= 0 {
		w.logger.Warn("a scribegate handler receives no requests, since a directive before it takes all of them; give that directive a matcher that leaves the handler's paths out",
			append(about, zap.String("directive", before[i].directive), zap.String("reason", before[i].prevents))...)
	}
	denies := func(a act) bool { return a.denies && !apart(a.matchers, matchers) }
	if len(h.DeliverTo) == 0 || condition(matchers) != byPath || slices.ContainsFunc(before, denies) {
		return // a checkpoint passes requests on, to what denies them
	}
	if i := slices.IndexFunc(behind, denies); i >= 0 {
		w.logger.Warn("an allow-list does not protect a scribegate handler: the directive that denies requests runs after scribegate has answered them; put the condition into scribegate's matcher, or put both into a route block, that directive first",
			append(about, zap.String("directive", behind[i].directive))...)
	}
}
