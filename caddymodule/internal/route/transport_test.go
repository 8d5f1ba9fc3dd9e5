package route

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// A probe is sent on a new connection, although another is in use, and deliveries after it use
// that connection.
func TestDeliveryTransportProbes(t *testing.T) {
	for name, versions := range map[string][]string{"HTTP/1.1": {"1.1"}, "HTTP/2": {"2"}, "HTTP/2 without TLS": {"h2c"}} {
		t.Run(name, func(t *testing.T) {
			var opened atomic.Int32
			begun := make(chan struct{})
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/hang" {
					close(begun)
					<-r.Context().Done()
				}
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					opened.Add(1)
				}
			}
			server.Config.Protocols = new(http.Protocols)
			server.Config.Protocols.SetHTTP1(true)
			server.Config.Protocols.SetUnencryptedHTTP2(true)
			transport := &deliveryTransport{HTTPTransport: reverseproxy.HTTPTransport{Versions: versions}}
			if versions[0] == "h2c" {
				server.Start()
			} else {
				server.EnableHTTP2 = versions[0] == "2"
				server.StartTLS()
				transport.TLS = &reverseproxy.TLSConfig{InsecureSkipVerify: true}
			}
			defer server.Close()
			ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
			defer cancel()
			if err := transport.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = transport.Cleanup() }()
			send := func(ctx context.Context, path string, probe bool) error {
				r := httptest.NewRequest(http.MethodPost, server.URL+path, nil)
				r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
				d := &delivery{probe: probe}
				resp, err := transport.RoundTrip(r.WithContext(d.context(ctx)))
				if err != nil {
					return err
				}
				return resp.Body.Close()
			}
			hanging, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			ended := make(chan error, 1)
			go func() { ended <- send(hanging, "/hang", false) }()
			<-begun
			for i, step := range []struct {
				probe bool
				want  int32
			}{{true, 2}, {false, 2}, {false, 2}, {true, 3}, {false, 3}} {
				if err := send(t.Context(), "/", step.probe); err != nil {
					t.Fatal(err)
				}
				if n := opened.Load(); n != step.want {
					t.Errorf("request %d: %d connections, want %d", i+1, n, step.want)
				}
			}
			hangUp()
			if err := <-ended; err == nil {
				t.Error("what hung was answered")
			}
		})
	}
}

// Every reverse_proxy over HTTP gets the transport for deliveries, with all of its options.
// Other transports are not replaced.
func TestUseDeliveryTransport(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ handler, want string }{
		"none":         {`{"handler":"reverse_proxy"}`, `{"handler":"reverse_proxy","transport":{"protocol":"scribegate"}}`},
		"http":         {`{"handler":"reverse_proxy","transport":{"dial_timeout":9007199254740993,"protocol":"http"}}`, `{"handler":"reverse_proxy","transport":{"dial_timeout":9007199254740993,"protocol":"scribegate"}}`},
		"capital name": {`{"handler":"reverse_proxy","Transport":{"protocol":"http","tls":{}}}`, `{"Transport":{"protocol":"scribegate","tls":{}},"handler":"reverse_proxy"}`},
		"null":         {`{"handler":"reverse_proxy","transport":null}`, `{"handler":"reverse_proxy","transport":{"protocol":"scribegate"}}`},
		"fastcgi":      {`{"handler":"reverse_proxy","transport":{"protocol":"fastcgi"}}`, ``},
		"another":      {`{"handler":"respond"}`, ``},
		"nested":       {`{"handler":"subroute","routes":[{"handle":[{"handler":"reverse_proxy"}]}]}`, `{"handler":"subroute","routes":[{"handle":[{"handler":"reverse_proxy","transport":{"protocol":"scribegate"}}]}]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			routes := caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{json.RawMessage(tt.handler)}}}
			if err := useDeliveryTransport(routes); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.handler
			}
			if got := string(routes[0].HandlersRaw[0]); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
