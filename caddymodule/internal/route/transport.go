package route

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/scribegate/scribegate/forwarder"
)

func init() {
	caddy.RegisterModule(new(deliveryTransport))
}

// transportName is the name of the deliveryTransport in a reverse_proxy's JSON.
const transportName = "scribegate"

// deliveryTransport is Caddy's HTTP transport with the rules for deliveries. It replaces
// `http` in an upstream's route and has the same options:
//
//   - It uses no proxy from the environment.
//   - It sends a probe on a new connection, and afterwards nothing on an old one.
//   - It reads the answer of a backend that closes the connection without reading the request.
//
// With HTTP/3 only the first rule applies.
type deliveryTransport struct {
	reverseproxy.HTTPTransport

	transports forwarder.Transports // copies of HTTPTransport.Transport
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
	t.transports.New = func() *http.Transport { return copyTransport(t.Transport) }
	return nil
}

// copyTransport returns a transport like t that shares no connections with it.
func copyTransport(t *http.Transport) *http.Transport {
	c := t.Clone()
	if c.TLSNextProto["h2"] != nil { // it refers to the connections of t
		c.TLSNextProto, c.ForceAttemptHTTP2 = nil, true
		if c.Protocols != nil { // h2c, which may have TLS as well
			c.Protocols.SetHTTP2(true)
		}
	}
	return c
}

// RoundTrip implements http.RoundTripper. Health checks use it too; they are not
// deliveries.
func (t *deliveryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	d, isDelivery := r.Context().Value(deliveryKey{}).(*delivery)
	resp, err := t.roundTrip(r, isDelivery && d.probe)
	if !isDelivery {
		return resp, err
	}
	d.answered.Store(err == nil)
	if err != nil && !d.Tried() && r.Context().Err() == nil {
		return nil, errUnsent
	}
	return resp, err
}

func (t *deliveryTransport) roundTrip(r *http.Request, probe bool) (*http.Response, error) {
	if slices.Equal(t.Versions, []string{"3"}) {
		return t.HTTPTransport.RoundTrip(r)
	}
	t.SetScheme(r)
	return t.transports.Use(probe).RoundTrip(r)
}

// Cleanup implements caddy.CleanerUpper.
func (t *deliveryTransport) Cleanup() error {
	t.transports.Close()
	return t.HTTPTransport.Cleanup()
}

// A delivery is the state of one request that the Sender and the transports share, through
// the request's context.
type delivery struct {
	forwarder.Progress

	probe    bool
	answered atomic.Bool // whether the backend that was asked last has answered
}

type deliveryKey struct{}

// context returns ctx with the delivery in it.
func (d *delivery) context(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(context.WithValue(ctx, deliveryKey{}, d), d.Trace())
}

// useDeliveryTransport replaces the HTTP transport of every reverse_proxy in the routes, at
// any depth, with the deliveryTransport. The routes must not have been provisioned yet.
func useDeliveryTransport(routes caddyhttp.RouteList) error {
	for _, route := range routes {
		for i, raw := range route.HandlersRaw {
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
			route.HandlersRaw[i] = encoded
		}
	}
	return nil
}

// replaceTransport replaces the transport of a handler, if that is a reverse_proxy over HTTP,
// and reports whether it did.
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
