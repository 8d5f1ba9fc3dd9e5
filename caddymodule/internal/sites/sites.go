package sites

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// An Endpoint is a handler of Scribegate in a site.
type Endpoint struct {
	Directive string // of the handler
	Provider  string // whose requests it receives; "" for the console
	Answers   bool   // whether it answers the requests itself, and passes none on
}

// forPeople reports whether the requests come from browsers, which have credentials.
func (e Endpoint) forPeople() bool { return e.Provider == "" }

// Warn logs a warning for each handler of Scribegate that no request reaches, since an earlier
// directive of the site takes all of them. It logs another warning for each handler that runs
// before a directive that denies requests by more than their path, such as by address: a
// Caddyfile orders `scribegate` before `abort`, `error` and `respond`, so a request that they
// would deny is stored and answered first. It logs a third for each console whose pages
// `templates` would execute. endpoint returns the endpoint that a handler is, if it is one. The
// configuration must have been provisioned.
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
	about := []zap.Field{zap.Strings("paths", paths(matchers))}
	if e.Provider != "" {
		about = append(about, zap.String("provider", e.Provider))
	}
	prevents := func(a act) bool {
		return a.prevents != "" && (!e.forPeople() || a.prevents != credentialsAsked) && covers(a.matchers, matchers)
	}
	if i := slices.IndexFunc(before, prevents); i >= 0 {
		w.logger.Warn("a "+e.Directive+" handler receives no requests, since a directive before it takes all of them; give that directive a matcher that leaves the handler's paths out",
			append(about, zap.String("directive", before[i].directive), zap.String("reason", before[i].prevents))...)
	}
	executes := func(a act) bool { return a.executes && !apart(a.matchers, matchers) }
	if e.forPeople() && slices.ContainsFunc(before, executes) {
		w.logger.Warn("templates executes the pages of "+e.Directive+", and with them any template in the ids of events; give templates a matcher that leaves the handler's paths out", about...)
	}
	denies := func(a act) bool { return a.denies && !apart(a.matchers, matchers) }
	if !e.Answers || condition(matchers) != byPath || slices.ContainsFunc(before, denies) {
		return // an endpoint that passes requests on does not bypass what denies them later
	}
	if i := slices.IndexFunc(behind, denies); i >= 0 {
		w.logger.Warn("an allow-list does not protect a "+e.Directive+" handler: the directive that denies requests runs after "+e.Directive+" has answered them; put the condition into "+e.Directive+"'s matcher, or put both into a route block, that directive first",
			append(about, zap.String("directive", behind[i].directive))...)
	}
}
