package sites

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// An Endpoint is a scribegate handler of a site.
type Endpoint struct {
	Provider string
	Answers  bool // whether it answers the requests itself, and passes none on
}

// Warn logs a warning for each scribegate handler that no request reaches, since an earlier
// directive of the site takes all of them. It logs another warning for each handler that runs
// before a directive that denies requests by more than their path, such as by address: a
// Caddyfile orders `scribegate` before `abort`, `error` and `respond`, so a request that they
// would deny is stored and answered first. endpoint returns the endpoint that a handler is, if
// it is one. The configuration must have been provisioned.
func Warn(ctx caddy.Context, logger *zap.Logger, endpoint func(caddyhttp.MiddlewareHandler) (Endpoint, bool)) {
	for _, server := range servers(ctx) {
		w := walk{logger: logger, endpoint: endpoint, named: server.NamedRoutes}
		w.routes(server.Routes, nil, nil, nil)
	}
}

// servers returns the HTTP servers of a configuration.
func servers(ctx caddy.Context) map[string]*caddyhttp.Server {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	return app.(*caddyhttp.App).Servers
}

// warn logs the warnings for one endpoint.
func (w walk) warn(e Endpoint, matchers []caddyhttp.MatcherSets, before, behind []act) {
	about := []zap.Field{zap.String("provider", e.Provider), zap.Strings("paths", paths(matchers))}
	if i := slices.IndexFunc(before, func(a act) bool { return a.prevents != "" && covers(a.matchers, matchers) }); i >= 0 {
		w.logger.Warn("a scribegate handler receives no requests, since a directive before it takes all of them; give that directive a matcher that leaves the handler's paths out",
			append(about, zap.String("directive", before[i].directive), zap.String("reason", before[i].prevents))...)
	}
	denies := func(a act) bool { return a.denies && !apart(a.matchers, matchers) }
	if !e.Answers || condition(matchers) != byPath || slices.ContainsFunc(before, denies) {
		return // an endpoint that passes requests on does not bypass what denies them later
	}
	if i := slices.IndexFunc(behind, denies); i >= 0 {
		w.logger.Warn("an allow-list does not protect a scribegate handler: the directive that denies requests runs after scribegate has answered them; put the condition into scribegate's matcher, or put both into a route block, that directive first",
			append(about, zap.String("directive", behind[i].directive))...)
	}
}
