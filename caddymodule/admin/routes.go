package admin

import (
	"net/http"
	"net/url"
	"strings"
)

// Prefix is the path of the admin API on Caddy's admin endpoint.
const Prefix = "/scribegate/"

// A Route is a route of the admin API.
type Route struct {
	Method     string
	Path       string   // below Prefix; the segment {id} stands for the id of an event
	Parameters []string // of the query
}

// The routes of the admin API.
var (
	RouteLive    = Route{Method: http.MethodGet, Path: "health/live"}
	RouteReady   = Route{Method: http.MethodGet, Path: "health/ready"}
	RouteStatus  = Route{Method: http.MethodGet, Path: "status"}
	RouteEvents  = Route{Method: http.MethodGet, Path: "events", Parameters: []string{"state", "upstream", "subject", "type", "since", "history", "limit", "cursor"}}
	RouteEvent   = Route{Method: http.MethodGet, Path: "events/{id}"}
	RoutePayload = Route{Method: http.MethodGet, Path: "events/{id}/payload"}
	RouteReplay  = Route{Method: http.MethodPost, Path: "replay"}
	RoutePurge   = Route{Method: http.MethodPost, Path: "purge"}
	RouteCompact = Route{Method: http.MethodPost, Path: "compact"}
	RouteBackup  = Route{Method: http.MethodPost, Path: "backup"}
	RouteRecover = Route{Method: http.MethodPost, Path: "recover"}
	RouteAudit   = Route{Method: http.MethodGet, Path: "audit"}
	RouteVerify  = Route{Method: http.MethodPost, Path: "audit/verify"}
)

// WithID returns the route with an event's id in its path, escaped for a URL.
func (r Route) WithID(id string) Route {
	escaped := url.PathEscape(id)
	if id == "." || id == ".." { // these segments would lead out of the path
		escaped = strings.ReplaceAll(id, ".", "%2E")
	}
	r.Path = strings.Replace(r.Path, "{id}", escaped, 1)
	return r
}

// WithQuery returns the route with a query behind its path.
func (r Route) WithQuery(query url.Values) Route {
	r.Path += "?" + query.Encode()
	return r
}
