package route

import (
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The names of Scribegate's handlers in the JSON of a route.
const (
	handlerName = "scribegate"
	consoleName = "scribegate_console"
)

// Check returns an error for a route that has no handler, or that has a handler of Scribegate
// at any depth.
func Check(routes caddyhttp.RouteList) error {
	if onlyHandlers(routes, "subroute") {
		return errors.New("its route is empty, so events would not be sent; put a directive such as reverse_proxy into it")
	}
	var err error
	walkHandlers(routes, func(h map[string]any) {
		switch h["handler"] {
		case handlerName:
			err = errors.New("its route holds a scribegate handler, which would send events in a loop; remove it")
		case consoleName:
			err = errors.New("its route holds a scribegate_console handler, which is for the requests of people; put it into a site")
		}
	})
	return err
}

// silent reports whether a route has only handlers of Caddy that answer no request by
// themselves.
func silent(routes caddyhttp.RouteList) bool {
	return onlyHandlers(routes, "copy_response_headers", "encode", "headers", "intercept", "log_append", "map", "push",
		"request_body", "rewrite", "subroute", "templates", "timeouts", "tracing", "vars")
}

// onlyHandlers reports whether a route has no other handlers than these, at any depth.
func onlyHandlers(routes caddyhttp.RouteList, names ...string) bool {
	only := true
	walkHandlers(routes, func(h map[string]any) {
		name, _ := h["handler"].(string)
		only = only && slices.Contains(names, name)
	})
	return only
}

// PlainHTTPHost returns a host, other than this machine, to which a reverse_proxy of the
// route sends requests without TLS, or "". The routes must not have been provisioned yet.
func PlainHTTPHost(routes caddyhttp.RouteList) string {
	var host string
	walkHandlers(routes, func(h map[string]any) {
		if h["handler"] != "reverse_proxy" {
			return
		}
		if transport, ok := h["transport"].(map[string]any); ok && (transport["tls"] != nil || transport["protocol"] != "http") {
			return
		}
		if dynamic, ok := h["dynamic_upstreams"].(map[string]any); ok {
			name, _ := dynamic["name"].(string)
			if name = cmp.Or(name, "dynamic upstreams"); !Loopback(name) {
				host = name
			}
		}
		upstreams, _ := h["upstreams"].([]any)
		for _, u := range upstreams {
			upstream, _ := u.(map[string]any)
			dial, _ := upstream["dial"].(string)
			addr, err := caddy.ParseNetworkAddress(dial)
			if err == nil && !addr.IsUnixNetwork() && !Loopback(addr.Host) {
				host = addr.Host
			}
		}
	})
	return host
}

// walkHandlers calls f for every object of the routes' JSON that is a handler.
func walkHandlers(routes caddyhttp.RouteList, f func(map[string]any)) {
	encoded, err := json.Marshal(routes)
	if err != nil {
		return
	}
	var tree any
	if json.Unmarshal(encoded, &tree) != nil {
		return
	}
	walkTree(tree, f)
}

// walkTree calls f for every object of decoded JSON that is a handler.
func walkTree(node any, f func(map[string]any)) {
	switch n := node.(type) {
	case map[string]any:
		if _, ok := n["handler"]; ok {
			f(n)
		}
		for _, child := range n {
			walkTree(child, f)
		}
	case []any:
		for _, child := range n {
			walkTree(child, f)
		}
	}
}

// Loopback reports whether a host is this machine, or has a placeholder, whose value is not
// known yet.
func Loopback(host string) bool {
	if host == "localhost" || host == "" || strings.Contains(host, "{") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
