package adminapi

import (
	"context"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// An route is a route of the admin API with the function that answers it.
type route struct {
	admin.Route
	answer answerer
	alone  bool // answered without a gateway too; the gateway is nil then
}

// An answerer returns the answer to a request: a value that is encoded in JSON, or a
// byteAnswer. Long work calls report with its progress; report may be nil.
type answerer func(ctx context.Context, g *gateway.Gateway, r *http.Request, report queue.Progress) (any, error)

// routes returns every route of the admin API.
func (a *API) routes() []route {
	return []route{
		{admin.RouteLive, a.live, true},
		{admin.RouteReady, a.ready, true},
		{admin.RouteStatus, a.status, false},
		{admin.RouteEvents, a.events, false},
		{admin.RouteEvent, a.event, false},
		{admin.RoutePayload, a.payload, false},
		{admin.RouteReplay, a.replay, false},
		{admin.RoutePurge, a.purge, false},
		{admin.RouteCompact, a.compact, false},
		{admin.RouteBackup, a.backup, false},
		{admin.RouteRecover, a.recover, false},
		{admin.RouteAudit, a.auditHeads, false},
		{admin.RouteVerify, a.verifyAudit, false},
	}
}

// find returns the route for a request, after checking the method, the query and
// the body. It sets the path value "id" of the request. With errMethod it returns
// the route that has the path, so that the caller can report its method.
func (a *API) find(r *http.Request) (route, error) {
	// An id may contain a slash, so the path is split before it is unescaped.
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i, s := range segments {
		var err error
		if segments[i], err = url.PathUnescape(s); err != nil {
			return route{}, errNoRoute
		}
	}
	for _, rt := range a.routes() {
		id, ok := rt.match(segments[1:])
		if !ok {
			continue
		}
		if r.Method != rt.Method {
			return rt, errMethod
		}
		r.SetPathValue("id", id)
		return rt, rt.check(r)
	}
	return route{}, errNoRoute
}

// match reports whether the route has the path, and returns the id in it.
func (rt route) match(segments []string) (id string, ok bool) {
	return id, slices.EqualFunc(strings.Split(rt.Path, "/"), segments, func(want, got string) bool {
		if want == "{id}" {
			id = got
			return got != ""
		}
		return want == got
	})
}

// check returns an error for a query parameter or a body that the route does not
// use, since ignoring it could do something other than the client intended.
func (rt route) check(r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return admin.BadRequest("the query cannot be parsed; escape special characters in it, such as %% and ;")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !slices.Contains(rt.Parameters, name) && len(rt.Parameters) > 0:
			return admin.BadRequest("unknown query parameter %q; known are %s", name, strings.Join(rt.Parameters, ", "))
		case !slices.Contains(rt.Parameters, name):
			return admin.BadRequest("unknown query parameter %q; this route has none", name)
		case len(query[name]) > 1:
			return admin.BadRequest("the query parameter %q is given %d times; give it once", name, len(query[name]))
		}
	}
	if rt.Method == http.MethodGet && r.ContentLength != 0 {
		return admin.BadRequest("this route takes no body; put parameters into the query")
	}
	return nil
}

// wantsLines reports whether a request for work asks for its progress.
func (rt route) wantsLines(r *http.Request) bool {
	if rt.Method != http.MethodPost {
		return false
	}
	for accepted := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if kind, _, err := mime.ParseMediaType(accepted); err == nil && kind == admin.LinesType {
			return true
		}
	}
	return false
}
