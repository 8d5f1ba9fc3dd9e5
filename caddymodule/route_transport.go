package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/scribegate/scribegate/forwarder"
)

func init() {
	caddy.RegisterModule(new(deliveryTransport))
}

const (
	transportName = "scribegate"

	// maxConnAge is how often a route's idle connections are closed.
	maxConnAge = 5 * time.Minute
)

// deliveryTransport is Caddy's HTTP transport as deliveries need it. An upstream's
// route has it in the place of `http`, with the same options:
//
//   - It takes no proxy from the environment.
//   - It closes its idle connections before a probe, and every five minutes.
//   - It reads the answer of a backend that closes without reading the request.
type deliveryTransport struct {
	reverseproxy.HTTPTransport

	mu     sync.Mutex
	closed time.Time // when the idle connections were last closed
}

// CaddyModule returns the Caddy module information.
func (*deliveryTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.scribegate",
		New: func() caddy.Module { return new(deliveryTransport) },
	}
}

// Provision implements caddy.Provisioner.
func (t *deliveryTransport) Provision(ctx caddy.Context) error {
	if t.ForwardProxyURL == "" && len(t.NetworkProxyRaw) == 0 {
		t.NetworkProxyRaw = json.RawMessage(`{"from":"none"}`)
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	t.Transport.DialContext = forwarder.DialConn(t.Transport.DialContext)
	return nil
}

// RoundTrip implements http.RoundTripper.
func (t *deliveryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	// Health checks come this way as well, and are no delivery.
	d, isDelivery := r.Context().Value(deliveryKey{}).(*delivery)
	t.closeIdle(isDelivery && d.probe)
	resp, err := t.HTTPTransport.RoundTrip(r)
	if !isDelivery {
		return resp, err
	}
	d.answered.Store(err == nil)
	if err != nil && !d.Tried() && r.Context().Err() == nil {
		return nil, errUnsent
	}
	return resp, err
}

// closeIdle closes the connections that nobody uses, where it is time to.
func (t *deliveryTransport) closeIdle(probe bool) {
	now := time.Now()
	t.mu.Lock()
	if t.closed.IsZero() {
		t.closed = now // there is none yet
	}
	due := probe || now.Sub(t.closed) >= maxConnAge
	if due {
		t.closed = now
	}
	t.mu.Unlock()
	if due {
		t.Transport.CloseIdleConnections()
	}
}

// A delivery is what the route sender and its transports know of a request. It is
// in the request's context.
type delivery struct {
	forwarder.Progress

	probe    bool
	answered atomic.Bool // the newest backend that was asked has answered
}

type deliveryKey struct{}

// context returns ctx with the delivery in it.
func (d *delivery) context(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(context.WithValue(ctx, deliveryKey{}, d), d.Trace())
}

// useDeliveryTransport puts the deliveryTransport in the place of every
// reverse_proxy's HTTP transport, at any depth of routes that are not provisioned.
func useDeliveryTransport(routes caddyhttp.RouteList) error {
	for i := range routes {
		for j, raw := range routes[i].HandlersRaw {
			decoder := json.NewDecoder(bytes.NewReader(raw))
			decoder.UseNumber()
			var tree any
			if err := decoder.Decode(&tree); err != nil {
				return fmt.Errorf("reading its route: %w", err)
			}
			changed := false
			walkTree(tree, func(h map[string]any) {
				changed = replaceTransport(h) || changed
			})
			if !changed {
				continue
			}
			encoded, err := json.Marshal(tree)
			if err != nil {
				return fmt.Errorf("writing its route: %w", err)
			}
			routes[i].HandlersRaw[j] = encoded
		}
	}
	return nil
}

// replaceTransport changes a handler, if it is a reverse_proxy over HTTP.
func replaceTransport(h map[string]any) bool {
	if h["handler"] != "reverse_proxy" {
		return false
	}
	for name, value := range h {
		if !strings.EqualFold(name, "transport") || value == nil {
			continue
		}
		transport, ok := value.(map[string]any)
		if !ok || transport["protocol"] != "http" {
			return false
		}
		transport["protocol"] = transportName
		return true
	}
	h["transport"] = map[string]any{"protocol": transportName}
	return true
}

// Interface guards
var (
	_ caddy.Provisioner  = (*deliveryTransport)(nil)
	_ caddy.CleanerUpper = (*deliveryTransport)(nil)
	_ http.RoundTripper  = (*deliveryTransport)(nil)
)
