package caddymodule

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// anywhere returns a backend's address in a form for which net/http would use a proxy, as it never
// does for a loopback address.
func (b *backend) anywhere() string { return strings.Replace(b.address(), "127.0.0.1", "0.0.0.0", 1) }

// No delivery goes through a proxy of the environment, whatever the upstream is, but one that a
// transport names is used. The environment is read once in a process, so the test starts its own.
func TestUpstreamsTakeNoProxyFromTheEnvironment(t *testing.T) {
	proxy, health := newBackend(t), make(chan struct{}, 1)
	backends := make(map[string]*backend)
	var upstreams strings.Builder
	for name, upstream := range map[string]string{
		"url":      "http://ADDRESS/",
		"default":  "{\nroute {\nreverse_proxy ADDRESS\n}\n}",
		"explicit": "{\nroute {\nreverse_proxy ADDRESS {\ntransport http {\ndial_timeout 5s\n}\n}\n}\n}",
		"checked":  "{\nroute {\nreverse_proxy ADDRESS {\nhealth_uri /healthz\n}\n}\n}",
		"nested":   "{\nroute {\nhandle {\nroute {\nreverse_proxy ADDRESS\n}\n}\n}\n}",
		"answered": "{\nroute {\nreverse_proxy ADDRESS {\n@any status 204\nhandle_response @any {\nreverse_proxy ADDRESS\n}\n}\n}\n}",
		"auth":     "{\nroute {\nforward_auth ADDRESS {\nuri /auth\n}\nrespond 204\n}\n}",
	} {
		b := newBackend(t)
		b.respond(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				select {
				case health <- struct{}{}:
				default:
				}
			}
			w.WriteHeader(http.StatusNoContent)
		})
		backends[name] = b
		fmt.Fprintf(&upstreams, "upstream %s %s\n", name, strings.ReplaceAll(upstream, "ADDRESS", b.anywhere()))
	}
	named := newBackend(t)
	fmt.Fprintf(&upstreams, "upstream named {\nroute {\nreverse_proxy backend.invalid:80 {\ntransport http {\nnetwork_proxy url %s\n}\n}\n}\n}\n", named.URL)
	fmt.Fprintf(&upstreams, "upstream deprecated {\nroute {\nreverse_proxy backend.invalid:80 {\ntransport http {\nforward_proxy_url %s\n}\n}\n}\n}\n", named.URL)

	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	config := filepath.Join(s.dir, "Caddyfile")
	text := s.caddyfile("scribegate {\nQUEUE\n"+upstreams.String()+"}\n", soapnoteTo("url default explicit checked nested answered auth named deprecated"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := commandtest.Process(t, "run", "--config", config, "--adapter", "caddyfile")
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		cmd.Env = append(cmd.Env, name+"="+proxy.URL)
	}
	cmd.Env = append(cmd.Env, "NO_PROXY=", "no_proxy=")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is the signal
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	eventually(t, "Caddy to take an event", func() bool {
		resp, err := http.DefaultClient.Do(s.soapnote("/soapnote", note("note-1")))
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	for name, b := range backends {
		if got := b.wait(t, 1)[0]; name != "checked" && !strings.HasPrefix(got.host, b.anywhere()) && got.host != name {
			t.Errorf("%s: a request to host %s", name, got.host)
		}
	}
	<-health
	named.wait(t, 2)
	if got := proxy.deliveries(); len(got) > 0 {
		t.Errorf("the environment's proxy was sent %d requests, the first to %s", len(got), got[0].uri)
	}
}

// A balancer forwards connections to a backend. Each connection stays with the backend that it
// began with.
type balancer struct {
	net.Listener

	target atomic.Pointer[string]
	taken  atomic.Int32 // connections
}

func newBalancer(t *testing.T, target string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{Listener: l}
	b.target.Store(&target)
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.taken.Add(1)
			conns.Go(func() { b.connect(ctx, c) })
		}
	})
	return b
}

func (b *balancer) connect(ctx context.Context, c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", *b.target.Load())
	if err != nil {
		return
	}
	defer up.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close(); _ = up.Close() })
	defer stop()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{c, up}, {up, c}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// A backend has moved, while the old one answers 503 on the connections that a load balancer pins
// to it: a probe uses a new connection, and reaches the new one.
func TestRouteFindsABackendThatHasMoved(t *testing.T) {
	start := map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"TLS":      (*httptest.Server).StartTLS,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
		"HTTP/2 without TLS": func(s *httptest.Server) {
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Start()
		},
	}
	for name, tt := range map[string]struct{ scheme, transport string }{
		"HTTP/1.1":           {"http", ""},
		"TLS":                {"https", "transport http {\ntls_insecure_skip_verify\nversions 1.1\n}"},
		"HTTP/2":             {"https", "transport http {\ntls_insecure_skip_verify\n}"},
		"HTTP/2 without TLS": {"h2c", ""},
	} {
		t.Run(name, func(t *testing.T) {
			serve := func(status *atomic.Int32, count *atomic.Int32) string {
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					count.Add(1)
					w.WriteHeader(int(status.Load()))
				}))
				start[name](server)
				t.Cleanup(server.Close)
				return server.Listener.Addr().String()
			}
			var oldStatus, newStatus, atOld, atNew atomic.Int32
			oldStatus.Store(http.StatusNoContent)
			newStatus.Store(http.StatusNoContent)
			old, young := serve(&oldStatus, &atOld), serve(&newStatus, &atNew)
			lb := newBalancer(t, old)
			s := newSite(t)
			s.load(oneUpstream+"{\nconcurrency 1\nretry 10ms 10ms 10ms 1h\nroute {\nreverse_proxy "+tt.scheme+"://"+lb.Addr().String()+" {\n"+tt.transport+"\n}\n}\n}\n}", bothProviders)
			do(t, s.soapnote("/soapnote", note("first")))
			eventually(t, "the first delivery", func() bool { return queued(t).Upstreams[0].Pending == 0 })

			lb.target.Store(&young)
			oldStatus.Store(http.StatusServiceUnavailable)
			const events = 10
			for i := range events {
				do(t, s.soapnote("/soapnote", note(fmt.Sprint("note-", i))))
			}
			eventually(t, "all deliveries", func() bool { return queued(t).Upstreams[0].Pending == 0 })
			if n := atNew.Load(); n != events {
				t.Errorf("the new backend took %d of %d events", n, events)
			}
			if n := lb.taken.Load(); n != 2 {
				t.Errorf("%d connections, want one to each backend", n)
			}
		})
	}
}

// The answer of a backend that closes the connection without reading the body is the result.
func TestRouteReadsTheAnswerOfABackendThatDoesNotReadTheBody(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusRequestEntityTooLarge} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
						_, _ = fmt.Fprintf(c, "HTTP/1.1 %d \r\nContent-Length: 0\r\n\r\n", status)
					}
					_ = c.Close()
				}
			}()
			s := newSite(t)
			s.load(routed("reverse_proxy "+l.Addr().String(), ""), bothProviders)
			for i := range 10 {
				body := strings.Replace(note(fmt.Sprint("note-", i)), `"data":{`, `"data":{"filler":"`+strings.Repeat("x", 5<<20)+`",`, 1)
				if d := settled(t, do(t, s.soapnote("/soapnote", body)).id(t), 1); d.History[0].Status != status {
					t.Errorf("event %d: %s with status %d", i, d.History[0].Result, d.History[0].Status)
				}
			}
		})
	}
}
