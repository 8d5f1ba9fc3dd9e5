package console

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/console/internal/pages"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
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

	// The placeholder with the name of the authenticated user. A request for which it
	// is empty is not authenticated. It is one of `{http.auth.user.*}`,
	// `{http.request.tls.client.*}` (the certificate must be verified),
	// `{http.vars.*}`, and `{http.request.header.*}` (a header that a proxy or
	// another handler sets, and removes from clients' requests).
	// Default: `{http.auth.user.id}`.
	User string `json:"user,omitempty"`

	// Whether the console only shows events, and cannot replay or purge them.
	// Default: false.
	ReadOnly bool `json:"read_only,omitempty"`

	logger *zap.Logger
	user   userPlaceholder
	pages  *pages.Pages
}

// CaddyModule returns the Caddy module information.
func (Console) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.scribegate_console",
		New: func() caddy.Module { return new(Console) },
	}
}

// Provision checks the options and prepares the pages.
func (c *Console) Provision(ctx caddy.Context) error {
	var err error
	if c.user, err = newUserPlaceholder(c.User); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	c.logger = logging.Logger(ctx)
	if c.AllowUnauthenticated {
		logging.Configuration(ctx).Warn("allow_unauthenticated serves the console to everyone who can reach it; remove it and put authentication in front, such as basic_auth")
	}
	c.pages = pages.New(ctx)
	return nil
}

// ServeHTTP serves the request if the client may see the console. It writes every answer
// itself, since Caddy would log a returned error with the request's URI.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	a := &answer{ResponseWriter: w}
	defer c.recoverPanic(a)
	setHeaders(a.Header())
	c.serve(a, r)
	return nil
}

// serve checks the request, and serves an asset or a page.
func (c *Console) serve(w http.ResponseWriter, r *http.Request) {
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		// Early data could be a copy of an earlier request, from another address.
		refuse(w, r, tooEarly)
		return
	}
	v, reasons := c.admit(r)
	if len(reasons) > 0 {
		forbid(w, r, forbidden{Loopback: c.AllowLoopback, Reasons: reasons})
		return
	}
	if err := checkRequest(w, r); err != nil {
		refuse(w, r, *err)
		return
	}
	if location := missingSlash(r); location != "" {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	if serveAsset(w, r) {
		return
	}
	if gateway.Await(r.Context()) == nil {
		w.Header().Set("Retry-After", retryAfter)
		refuse(w, r, notRunning)
		return
	}
	c.pages.Serve(w, r, v)
}

// recoverPanic, if deferred, answers 500 after a panic, or ends the request if the answer has
// begun. The text of the panic gets into no log and no page, since it could quote anything.
func (c *Console) recoverPanic(a *answer) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		panic(p)
	}
	c.logger.Error("a page of the console panicked; the text of the panic is left out", zap.ByteString("stack", debug.Stack()))
	if a.begun {
		panic(http.ErrAbortHandler)
	}
	failed.write(a)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Console)(nil)
	_ caddyhttp.MiddlewareHandler = (*Console)(nil)
)
