package sites

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// How a handler prevents requests from reaching a later one.
const (
	answeredBefore   = "it answers them itself"
	credentialsAsked = "it asks them for credentials that a provider does not have"
	pathRewritten    = "it rewrites their path to another"
)

// templatesModule is the ID of Caddy's `templates`.
const templatesModule = "http.handlers.templates"

// actOf returns the act of a single handler.
func (w walk) actOf(handler caddyhttp.MiddlewareHandler, matchers []caddyhttp.MatcherSets) act {
	a := act{matchers: matchers}
	by := condition(matchers)
	switch h := handler.(type) {
	case *caddyhttp.StaticResponse:
		a.directive, a.prevents = "respond", answeredBefore
		switch {
		case h.Abort:
			a.directive = "abort"
		case len(h.Headers["Location"]) > 0:
			a.directive = "redir"
		case h.StatusCode.Int() == http.StatusEarlyHints:
			a.prevents = ""
		}
		a.denies = by == byAddress || by == byMore && (h.Abort || h.StatusCode >= "400")
	case *caddyhttp.StaticError:
		a.directive, a.prevents, a.denies = "error", answeredBefore, by != byPath
	case *fileserver.FileServer:
		if !h.PassThru {
			a.directive, a.prevents = "file_server", answeredBefore
		}
	case *reverseproxy.Handler:
		a.directive, a.prevents = "reverse_proxy", answeredBefore
		if len(h.HandleResponse) > 0 {
			a.directive, a.prevents = "forward_auth", credentialsAsked
		}
	case *caddyauth.Authentication:
		a.directive, a.prevents = "basic_auth", credentialsAsked
	case *rewrite.Rewrite:
		if fixedPath(h.URI, matchers) {
			a.directive, a.prevents = "rewrite", pathRewritten
		}
	default:
		if e, ok := w.endpoint(handler); ok && e.Answers {
			a.directive, a.prevents = e.Directive, answeredBefore
		}
		if m, ok := handler.(caddy.Module); ok && m.CaddyModule().ID == templatesModule {
			a.directive, a.executes = "templates", true
		}
	}
	return a
}

// fixedPath reports whether a rewrite replaces the whole path of a request, as
// `rewrite /x` does, and `try_files {path} /index.html` for a path without a file.
func fixedPath(uri string, matchers []caddyhttp.MatcherSets) bool {
	constant := func(uri string) bool {
		path, _, _ := strings.Cut(uri, "?")
		return path != "" && !strings.Contains(path, "{")
	}
	if !strings.HasPrefix(uri, "{http.matchers.file.relative}") {
		return constant(uri)
	}
	for _, sets := range matchers {
		for _, set := range sets {
			for _, m := range set {
				if file, ok := m.(*fileserver.MatchFile); ok {
					return slices.ContainsFunc(file.TryFiles, constant)
				}
			}
		}
	}
	return false
}
