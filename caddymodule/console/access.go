package console

import (
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/caddymodule/console/internal/pages"
)

// admit returns the visitor that sent the request, or the reasons why the console is closed to
// the request.
func (c *Console) admit(r *http.Request) (pages.Visitor, []string) {
	v := pages.Visitor{From: clientAddress(r), Acts: !c.ReadOnly}
	name, reason := c.user.name(r)
	if reason == "" {
		v.Name = name
		return v, nil
	}
	if c.AllowUnauthenticated {
		return v, nil
	}
	reasons := []string{reason}
	if c.AllowLoopback {
		if reason = notLoopback(r); reason == "" {
			return v, nil
		}
		reasons = append(reasons, reason)
	}
	return pages.Visitor{}, reasons
}

// clientAddress returns the address of the client as Caddy knows it: behind trusted proxies,
// the one that they name.
func clientAddress(r *http.Request) string {
	if client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); client != "" {
		return client
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
