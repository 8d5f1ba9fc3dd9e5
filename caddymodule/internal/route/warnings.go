package route

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Warn logs a warning if an upstream's route answers nothing, and one for each handler in it
// that takes every request although there are handlers behind it. The routes must not have
// been provisioned yet.
func Warn(logger *zap.Logger, upstream string, routes caddyhttp.RouteList) {
	if silent(routes) {
		logger.Warn("an upstream's route answers nothing, so that every delivery to it fails; put a directive such as reverse_proxy into it",
			zap.String("upstream", upstream))
	}
	var list []routeJSON
	if encoded, err := json.Marshal(routes); err != nil || json.Unmarshal(encoded, &list) != nil {
		return
	}
	found := make(unreached)
	found.list(list)
	for _, before := range slices.Sorted(maps.Keys(found)) {
		logger.Warn("handlers in an upstream's route are never reached: a route runs in the order in which it is written, and a handler before them takes every request; move them before that handler, or give it a matcher",
			zap.String("upstream", upstream), zap.String("takes_all", before), zap.Strings("unreached", found[before]))
	}
}

// A routeJSON has the members of a route's JSON on which it depends which handlers a request
// reaches.
type routeJSON struct {
	Group    string                       `json:"group"`
	Match    []map[string]json.RawMessage `json:"match"`
	Handle   []handlerJSON                `json:"handle"`
	Terminal bool                         `json:"terminal"`
}

// A handlerJSON has these members of a handler, for every module.
type handlerJSON struct {
	Handler        string                    `json:"handler"`
	Routes         []routeJSON               `json:"routes"`          // subroute
	Errors         json.RawMessage           `json:"errors"`          // subroute
	HandleResponse json.RawMessage           `json:"handle_response"` // reverse_proxy
	PassThru       bool                      `json:"pass_thru"`       // file_server
	StatusCode     caddyhttp.WeakString      `json:"status_code"`     // static_response
	Abort          bool                      `json:"abort"`           // static_response
	Transport      struct{ Protocol string } `json:"transport"`       // reverse_proxy
}

// unmatched reports whether a route takes every request.
func (r routeJSON) unmatched() bool {
	return len(r.Match) == 0 || slices.ContainsFunc(r.Match, func(set map[string]json.RawMessage) bool { return len(set) == 0 })
}

// unreached are the handlers that no request reaches, by the directive that takes every
// request before them.
type unreached map[string][]string

func (u unreached) add(before string, handlers []handlerJSON) {
	for _, h := range handlers {
		u[before] = append(u[before], h.directive())
	}
}

// list returns the directive in a list of routes that takes every request, or "".
func (u unreached) list(routes []routeJSON) string {
	end := ""
	// A request goes through the first route of a group that matches, and through no other.
	type group struct {
		leaky bool   // one of its routes passes requests on
		taken string // the directive that takes every request that the routes before it left
	}
	groups := make(map[string]group)
	for i, r := range routes {
		g, grouped := groups[r.Group], r.Group != ""
		if before := cmp.Or(end, g.taken); before != "" {
			u.add(before, r.Handle)
			continue
		}
		last := u.chain(r.Handle)
		switch {
		case i > 0 && phpFastCGI(routes[i-1], r):
			last, r.Match = "php_fastcgi", nil
		case r.Terminal && last == "":
			last = "a terminal route"
		}
		if grouped {
			g.leaky = g.leaky || last == ""
			if r.unmatched() && len(r.Handle) > 0 {
				g.taken = r.Handle[0].directive()
			}
			groups[r.Group] = g
		}
		if r.unmatched() && !g.leaky {
			end = last
		}
	}
	return end
}

// chain returns the directive among a route's handlers that takes every request, or "".
func (u unreached) chain(handlers []handlerJSON) string {
	for i, h := range handlers {
		end := ""
		switch {
		case h.Handler == "subroute":
			if end = u.list(h.Routes); len(h.Errors) > 0 {
				end = "" // its errors may be handled, and passed on
			}
		case h.answers():
			end = h.directive()
		}
		if end != "" {
			u.add(end, handlers[i+1:])
			return end
		}
	}
	return ""
}

// answers reports whether a handler answers every request, and never calls the next one.
func (h handlerJSON) answers() bool {
	switch h.Handler {
	case "reverse_proxy":
		return len(h.HandleResponse) == 0
	case "static_response":
		return h.StatusCode.Int() != http.StatusEarlyHints
	case "file_server":
		return !h.PassThru
	}
	return h.Handler == "error" || h.Handler == "metrics"
}

// directive returns the name of a handler in a Caddyfile.
func (h handlerJSON) directive() string {
	switch h.Handler {
	case "static_response":
		if h.Abort {
			return "abort"
		}
		return "respond"
	case "subroute":
		return "handle"
	case "headers":
		return "header"
	case "authentication":
		return "basic_auth"
	}
	return h.Handler
}

// phpFastCGI reports whether two routes are the last two of php_fastcgi without a matcher: the
// first rewrites each request to a file that the second takes.
func phpFastCGI(rewrite, proxy routeJSON) bool {
	if len(rewrite.Handle) != 1 || rewrite.Handle[0].Handler != "rewrite" || len(rewrite.Match) != 1 ||
		len(proxy.Handle) == 0 || proxy.Handle[0].Transport.Protocol != "fastcgi" || len(proxy.Match) != 1 || len(proxy.Match[0]) != 1 {
		return false
	}
	var file struct {
		TryFiles  []string `json:"try_files"`
		TryPolicy string   `json:"try_policy"`
	}
	var paths []string
	if json.Unmarshal(rewrite.Match[0]["file"], &file) != nil || json.Unmarshal(proxy.Match[0]["path"], &paths) != nil {
		return false
	}
	return file.TryPolicy == "first_exist_fallback" && len(file.TryFiles) > 0 && slices.ContainsFunc(paths, func(path string) bool {
		return strings.HasSuffix(file.TryFiles[len(file.TryFiles)-1], strings.TrimPrefix(path, "*"))
	})
}
