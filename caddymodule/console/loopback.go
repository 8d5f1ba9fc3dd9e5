package console

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/trace"
)

// notLoopback returns why a request does not count as one from this machine, or "".
//
// The address is not enough: a proxy or a tunnel on this machine gives all of its clients a
// loopback address. The Host is checked because a page of another site can have its own name
// resolve to a loopback address. The headers are checked against those of browsers, not
// against those of proxies, since nobody knows them all.
func notLoopback(r *http.Request) string {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	switch {
	case err != nil:
		return "It did not come over TCP or QUIC, such as over a Unix socket, which a proxy uses"
	case !loopback(remote.Addr()):
		return "It came from another machine"
	case !loopbackText(client):
		return "A trusted proxy passed it on for another client"
	case !loopbackHost(r.Host):
		return "Its Host" + quoteHost(r.Host) + " is not loopback; open the console as localhost, 127.0.0.1 or [::1]"
	case !r.ProtoAtLeast(1, 1):
		return "It uses HTTP/1.0, as some proxies do and no browser does"
	}
	traced := trace.SpanContextFromContext(r.Context()).IsValid()
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if !sentByClients(name) && (!traced || !slices.Contains(tracingHeaders, name)) {
			return fmt.Sprintf("It has the header %.64s, which a proxy or a tunnel may have added, since browsers do not send it by themselves", name)
		}
	}
	return ""
}

func loopback(a netip.Addr) bool { return a.Unmap().IsLoopback() }

func loopbackText(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && loopback(a)
}

// localhostNames matches the names that RFC 6761 reserves for loopback.
var localhostNames = regexp.MustCompile(`^(?i:([a-z0-9-]+\.)*localhost)\.?$`)

// loopbackHost reports whether a Host names a loopback address, with any port.
func loopbackHost(host string) bool {
	name := host
	if before, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		name = before
	} else if inner, ok := strings.CutPrefix(host, "["); ok {
		if name, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
	}
	return localhostNames.MatchString(name) || loopbackText(name)
}

// plainHost matches a Host that may be shown.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,128}$`)

// quoteHost returns the Host after a space, or "" if it is not that of an ordinary request.
func quoteHost(host string) string {
	if !plainHost.MatchString(host) {
		return ""
	}
	return " " + host
}

// clientHeaders are the headers that browsers and other HTTP clients send by themselves, apart
// from those with a prefix in clientHeaderPrefixes, and the header of the console's script.
var clientHeaders = []string{
	"Accept", "Alt-Used", "Authorization", "Cache-Control", "Connection", "Content-Length", "Content-Type", "Cookie",
	"Dnt", "Expect", "Http2-Settings", "Keep-Alive", "Origin", "Pragma", "Priority", "Purpose", "Range", "Referer",
	"Save-Data", "Scribegate-Part", "Te", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent",
}

var clientHeaderPrefixes = []string{"Accept-", "Access-Control-Request-", "If-", "Sec-"}

// tracingHeaders are the headers that Caddy's `tracing` adds to the requests of a site.
var tracingHeaders = []string{"Baggage", "Traceparent", "Tracestate"}

// sentByClients reports whether browsers and other HTTP clients send a header by themselves.
func sentByClients(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return slices.Contains(clientHeaders, name) ||
		slices.ContainsFunc(clientHeaderPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
