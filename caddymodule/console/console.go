package console

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
)

func init() {
	caddy.RegisterModule(Console{})
}

// Console serves pages to look at the events of the gateway, and to replay or purge them. It
// shows no payload. It serves requests that another handler has authenticated, and answers all
// others 403.
type Console struct {
	// Whether requests from this machine are served without authentication. Their
	// `Host` must be loopback too, and they must have no header that a proxy or a
	// tunnel adds. Default: false.
	AllowLoopback bool `json:"allow_loopback,omitempty"`

	// Whether all requests are served, without authentication. Default: false.
	AllowUnauthenticated bool `json:"allow_unauthenticated,omitempty"`

	// The placeholder with the authenticated user's name. A request for which it is
	// empty is not authenticated. Default: `{http.auth.user.id}`.
	User string `json:"user,omitempty"`

	// Whether the console only shows events, and cannot replay or purge them.
	// Default: false.
	ReadOnly bool `json:"read_only,omitempty"`

	logger *zap.Logger
	pages  *pages
}

// CaddyModule returns the Caddy module information.
func (Console) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.scribegate_console",
		New: func() caddy.Module { return new(Console) },
	}
}

// Provision prepares the pages.
func (c *Console) Provision(ctx caddy.Context) error {
	c.logger = logging.Logger(ctx)
	c.pages = newPages(ctx, c.logger)
	return nil
}

// ServeHTTP serves the request if the client may see the console.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	v, ok := c.visitor(r)
	if !ok {
		http.Error(w, "forbidden", http.StatusForbidden)
		return nil
	}
	if serveAsset(w, r) {
		return nil
	}
	c.pages.serve(w, r, v)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Console)(nil)
	_ caddyhttp.MiddlewareHandler = (*Console)(nil)
)
