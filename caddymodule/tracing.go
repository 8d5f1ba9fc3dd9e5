package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// tracingModule is the id of Caddy's `tracing`.
const tracingModule = "http.handlers.tracing"

// tracingConfigured reports whether a site of the configuration has `tracing`.
// The configuration must have been provisioned.
func tracingConfigured(ctx caddy.Context) bool {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return false
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		if hasTracing(server.Routes) {
			return true
		}
		for _, named := range server.NamedRoutes {
			if hasTracing(caddyhttp.RouteList{*named}) {
				return true
			}
		}
	}
	return false
}

func hasTracing(routes caddyhttp.RouteList) bool {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			if m, ok := handler.(caddy.Module); ok && m.CaddyModule().ID == tracingModule {
				return true
			}
			if sub, ok := handler.(*caddyhttp.Subroute); ok && hasTracing(sub.Routes) {
				return true
			}
		}
	}
	return false
}
