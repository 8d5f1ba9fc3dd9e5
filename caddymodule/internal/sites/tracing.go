package sites

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// tracingModule is the ID of Caddy's `tracing`.
const tracingModule = "http.handlers.tracing"

// Traced reports whether a site of the configuration has `tracing`. The configuration must
// have been provisioned.
func Traced(ctx caddy.Context) bool {
	for _, server := range servers(ctx) {
		if traced(server.Routes) {
			return true
		}
		for _, named := range server.NamedRoutes {
			if traced(caddyhttp.RouteList{*named}) {
				return true
			}
		}
	}
	return false
}

func traced(routes caddyhttp.RouteList) bool {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			if m, ok := handler.(caddy.Module); ok && m.CaddyModule().ID == tracingModule {
				return true
			}
			if sub, ok := handler.(*caddyhttp.Subroute); ok && traced(sub.Routes) {
				return true
			}
		}
	}
	return false
}
