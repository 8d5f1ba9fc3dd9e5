//go:build examples

package browsertest

import (
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(record{})
	httpcaddyfile.RegisterHandlerDirective("record", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		r := new(record)
		h.Next()
		if !h.AllArgs(&r.Site) {
			return nil, h.ArgErr()
		}
		return r, nil
	})
}

// A record records the requests that a site receives, and calls the next handler.
type record struct {
	Site string `json:"site"`
}

// CaddyModule returns the Caddy module information.
func (record) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.record", New: func() caddy.Module { return new(record) }}
}

// A request is what a site received.
type request struct {
	Site, Method, URI, Host, Authorization, Origin, Referer, Part string
}

// recorded are the requests to the consoles, and to the stranger's site, in their order.
var recorded struct {
	sync.Mutex
	requests, visitors []request
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (c record) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	recorded.Lock()
	recorded.requests = append(recorded.requests, request{
		c.Site, r.Method, r.RequestURI, r.Host, r.Header.Get("Authorization"), r.Header.Get("Origin"), r.Header.Get("Referer"), r.Header.Get("Scribegate-Part"),
	})
	recorded.Unlock()
	return next.ServeHTTP(w, r)
}

// Interface guards
var _ caddyhttp.MiddlewareHandler = (*record)(nil)
