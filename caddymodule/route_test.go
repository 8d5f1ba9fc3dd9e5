package caddymodule

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// routed is an app whose upstream is a route, with waits so long that a test sees only the first
// attempt.
func routed(route, options string) string {
	return captureInfo + oneUpstream + "{\n\t\t\tretry 1h\n" + options + "\n\t\t\troute {\n" + route + "\n\t\t\t}\n\t\t}\n\t}"
}

// captureInfo sends Caddy's lines into captured, as a server without debug writes them.
const captureInfo = `
	log default {
		output capture
		format json
	}
`

// attempted posts a note and returns its delivery after the first attempt.
func attempted(t *testing.T, s *site) queue.DeliveryRecord {
	t.Helper()
	id := do(t, s.soapnote("/soapnote?order_id=QUERY-TEXT", note("note-1"))).id(t)
	return settled(t, id, 1)
}

// settled returns the first delivery of an event once it was attempted n times.
func settled(t *testing.T, id string, n int) queue.DeliveryRecord {
	t.Helper()
	var d queue.DeliveryRecord
	eventually(t, "an attempt to be settled", func() bool {
		r, err := gateway.Current().Queue().Event(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		d = r.Deliveries[0]
		return len(d.History) >= n
	})
	return d
}

// A route runs in the order in which it is written, whatever the directives.
func TestRouteRunsInItsWrittenOrder(t *testing.T) {
	for path, route := range map[string]string{
		"/ingest": "rewrite /ingest\nreverse_proxy BACKEND",
		"/":       "reverse_proxy BACKEND\nrewrite /ingest",
	} {
		t.Run(path, func(t *testing.T) {
			s, b := newSite(t), newBackend(t)
			s.load(routed(strings.Replace(route, "BACKEND", b.address(), 1), ""), bothProviders)
			do(t, s.soapnote("/soapnote", note("note-1"))).id(t)
			if got := b.wait(t, 1)[0].uri; got != path {
				t.Errorf("the backend was asked for %s", got)
			}
		})
	}
}

func TestRouteReachesItsBackend(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(routed(`
		rewrite * /ingest?{query}
		reverse_proxy `+b.address()+` {
			header_up X-Upstream "{http.request.host} {http.reverse_proxy.upstream.hostport}"
			header_up X-Path {http.request.orig_uri.path}
		}`, "format raw"), bothProviders)
	payload := note("note-1")
	id := do(t, s.soapnote("/soapnote?order_id=7&a=%20", payload)).id(t)

	got := b.wait(t, 1)[0]
	if got.uri != "/ingest?order_id=7&a=%20" || got.host != "ehr" || string(got.body) != payload {
		t.Errorf("POST %s to host %s with %d bytes", got.uri, got.host, len(got.body))
	}
	for name, want := range map[string]string{
		"Webhook-Id": id, "Scribegate-Attempt": "1", "Content-Type": "application/json",
		"X-Upstream": "ehr " + b.address(), "X-Path": "/", "User-Agent": "Scribegate/" + build.Version(),
	} {
		if v := got.header.Values(name); len(v) != 1 || v[0] != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	for _, name := range []string{"Webhook-Timestamp", "Webhook-Signature", "X-Soapnoteapi-Signature", "X-Soapnoteapi-Timestamp"} {
		if len(got.header.Values(name)) != 1 {
			t.Errorf("%s: %q, want one value", name, got.header.Values(name))
		}
	}
	if v, ok := got.header["Idempotency-Key"]; ok {
		t.Errorf("an Idempotency-Key went out: %q", v)
	}
	if d := settled(t, id, 1); d.State != queue.Delivered || d.History[0].Status != http.StatusNoContent {
		t.Errorf("delivery %+v", d)
	}
}

func TestRouteBalancesItsBackends(t *testing.T) {
	s, one, two := newSite(t), newBackend(t), newBackend(t)
	s.load(routed("reverse_proxy "+one.address()+" "+two.address()+" {\n lb_policy round_robin\n}", ""), bothProviders)
	for _, id := range []string{"a", "b", "c", "d"} {
		if got := do(t, s.soapnote("/soapnote", note(id))); got.status != http.StatusOK {
			t.Fatalf("answer %d", got.status)
		}
	}
	if len(one.wait(t, 2)) != 2 || len(two.wait(t, 2)) != 2 {
		t.Errorf("%d and %d deliveries, want 2 each", len(one.deliveries()), len(two.deliveries()))
	}
}

// An answer of a route has the same result as that of a URL.
func TestRouteAnswers(t *testing.T) {
	tests := []struct {
		name, route string
		state       queue.State
		result      queue.Result
		status      int
		used        int
	}{
		{"respond 200", "respond 200", queue.Delivered, queue.Success, 200, 1},
		{"respond 204", "respond 204", queue.Delivered, queue.Success, 204, 1},
		{"body without a status", "respond taken", queue.Delivered, queue.Success, 200, 1},
		{"respond 410", "respond 410", queue.Dead, queue.Gone, 410, 1},
		{"respond 500", "respond 500", queue.Pending, queue.Failure, 500, 1},
		{"respond 404", "respond 404", queue.Pending, queue.Failure, 404, 1},
		{"respond 429", "respond 429", queue.Pending, queue.Failure, 429, 0},
		{"redirect", "redir https://elsewhere.example.com/ 302", queue.Pending, queue.Failure, 302, 1},
		{"no handler matches", "@other method GET\nrespond @other 200", queue.Pending, queue.Failure, 0, 1},
		{"handler that answers nothing", "header X-A b", queue.Pending, queue.Failure, 0, 1},
		{"abort", "abort", queue.Pending, queue.Failure, 0, 1},
		{"error 503", "error 503", queue.Pending, queue.Failure, 503, 1},
		{"error 404", `error "no {uri}" 404`, queue.Pending, queue.Failure, 404, 1},
		{"error 410", "error 410", queue.Dead, queue.Gone, 410, 1},
		{"no file", "file_server", queue.Pending, queue.Failure, 404, 1},
		{"only for this upstream's host", "@ehr host ehr\nrespond @ehr 200", queue.Delivered, queue.Success, 200, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.load(routed(tt.route, ""), bothProviders)
			d := attempted(t, s)
			h := d.History[0]
			if d.State != tt.state || h.Result != tt.result || h.Status != tt.status || d.Used != tt.used {
				t.Errorf("%s, %s with status %d, %d attempts used; want %s, %s, %d, %d",
					d.State, h.Result, h.Status, d.Used, tt.state, tt.result, tt.status, tt.used)
			}
		})
	}
}

// Retry-After applies whether a backend or the route itself sends it.
func TestRouteRetryAfter(t *testing.T) {
	b := newBackend(t)
	b.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for name, route := range map[string]string{
		"reverse_proxy": "reverse_proxy " + b.address(),
		"respond":       "header Retry-After 7200\nrespond 503",
		"error":         "header Retry-After 7200\nerror 503",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.load(routed(route, ""), bothProviders)
			if d := attempted(t, s); d.Used != 1 || d.History[0].Status != 503 {
				t.Errorf("delivery %+v", d)
			}
			if !queued(t).Upstreams[0].Paused {
				t.Error("the upstream is not paused, although it asked for it")
			}
		})
	}
}

// hungUp returns the address of a server that closes each connection after the request.
func hungUp(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 64<<10))
			_, _ = c.Write([]byte(answer))
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// An attempt that could not connect uses up none of its event's attempts; nor does
// one whose connection ended before a byte of an answer.
func TestRouteConnects(t *testing.T) {
	sick := newBackend(t)
	sick.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	closed, broken := commandtest.ClosedPort(t), hungUp(t, "")
	refusing := httptest.NewUnstartedServer(http.NotFoundHandler())
	refusing.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	refusing.EnableHTTP2 = true
	refusing.Config.ErrorLog = log.New(io.Discard, "", 0)
	refusing.StartTLS()
	defer refusing.Close()
	certified := "reverse_proxy " + refusing.URL + " {\n transport http {\n tls_insecure_skip_verify\n versions "
	tests := []struct {
		name, route string
		result      queue.Result
		used        int
	}{
		{"closed port", "reverse_proxy " + closed, queue.ConnectError, 0},
		{"closed ports, tried twice", "reverse_proxy " + closed + " " + commandtest.ClosedPort(t) + " {\n lb_retries 1\n}", queue.ConnectError, 0},
		{"no TLS on the other side", "reverse_proxy https://" + sick.address(), queue.ConnectError, 0},
		{"closed fastcgi port", "reverse_proxy " + closed + " {\n transport fastcgi\n}", queue.ConnectError, 0},
		{"no dynamic upstream", "reverse_proxy {\n dynamic multi\n}", queue.ConnectError, 0},
		{"broken connection", "reverse_proxy " + broken, queue.ConnectError, 0},
		{"broken connection, in the answer", "reverse_proxy " + hungUp(t, "HTTP/1.1 "), queue.Failure, 1},
		{"no client certificate", certified + "1.1\n}\n}", queue.ConnectError, 0},
		{"no client certificate, HTTP/2", certified + "2\n}\n}", queue.ConnectError, 0},
		{"no HTTP", "reverse_proxy " + hungUp(t, "SECRET-ANSWER\r\n\r\n"), queue.Failure, 1},
		{"broken connection, then closed port", "reverse_proxy " + broken + " " + closed +
			" {\n lb_policy first\n lb_retries 1\n fail_duration 10s\n lb_retry_match method POST\n}", queue.ConnectError, 0},
		{"backend that answers 500", "reverse_proxy " + sick.address(), queue.Failure, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			captured.reset()
			s := newSite(t)
			s.load(routed(tt.route, ""), bothProviders)
			d := attempted(t, s)
			if h := d.History[0]; h.Result != tt.result || d.Used != tt.used || d.State != queue.Pending {
				t.Errorf("%s with status %d, %d attempts used, %s; want %s, %d, pending", h.Result, h.Status, d.Used, d.State, tt.result, tt.used)
			}
			if lines := captured.String(); strings.Contains(lines, "SECRET-ANSWER") {
				t.Errorf("the log quotes the upstream's answer:\n%s", lines)
			}
		})
	}
}

// A failure of the route itself uses up an attempt. It is not a failure of the backend, and does
// not pause the upstream however often it occurs.
func TestRouteFailuresOfItsOwn(t *testing.T) {
	b := newBackend(t)
	for name, route := range map[string]string{
		"address of two ports":   "vars ports 9000-9001\nreverse_proxy 127.0.0.1:{http.vars.ports}",
		"header of two lines":    "reverse_proxy " + b.address() + " {\n header_up X-Two `one\ntwo`\n}",
		"panic":                  "test_plain panic",
		"error of a handler":     "test_plain error",
		"error behind a backend": "reverse_proxy " + b.address() + " {\n handle_response {\n  test_plain error\n }\n}",
		"nothing answered":       "header X-A b",
	} {
		t.Run(name, func(t *testing.T) {
			captured.reset()
			s := newSite(t)
			s.load(routed(route, "concurrency 1\nformat raw"), bothProviders)
			for i := range 6 {
				d := settled(t, do(t, s.soapnote("/soapnote?order_id=QUERY-TEXT", note("note-"+string(rune('1'+i))))).id(t), 1)
				if h := d.History[0]; h.Result != queue.Failure || h.Status != 0 || d.Used != 1 || d.State != queue.Pending {
					t.Fatalf("%s with status %d, %d attempts used, %s; want failure, 0, 1, pending", h.Result, h.Status, d.Used, d.State)
				}
			}
			if queued(t).Upstreams[0].Paused {
				t.Error("the upstream is paused")
			}
			silent(t)
		})
	}
}

// A backend's answer that reverse_proxy retries is the answer of the route when no tries are
// left.
func TestRouteAnswersThatAreTriedAgain(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			s, b := newSite(t), newBackend(t)
			b.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			s.load(routed("reverse_proxy "+b.address()+" {\n lb_retries 1\n lb_retry_match `{rp.status_code} >= 500`\n request_buffers 1MiB\n}", ""), bothProviders)
			if d := attempted(t, s); d.History[0].Status != status || d.Used != 1 || len(b.deliveries()) != 2 {
				t.Errorf("delivery %+v after %d requests", d, len(b.deliveries()))
			}
		})
	}
}

// With health checks a backend that is down is not even dialled.
func TestRouteWithoutHealthyBackend(t *testing.T) {
	sick := newBackend(t)
	checks := make(chan string, 1)
	sick.respond(func(w http.ResponseWriter, r *http.Request) {
		select {
		case checks <- r.URL.Path:
		default:
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	t.Run("active checks", func(t *testing.T) {
		s := newSite(t)
		s.load(routed("reverse_proxy "+sick.address()+" {\n health_uri /healthz\n health_interval 50ms\n}", ""), bothProviders)
		for range 2 { // the result of the first check is known when the second comes
			if path := <-checks; path != "/healthz" {
				t.Fatalf("a request for %s before any event", path)
			}
		}
		d := attempted(t, s)
		if h := d.History[0]; h.Result != queue.ConnectError || d.Used != 0 {
			t.Errorf("%s with status %d, %d attempts used; want connect_error and none", h.Result, h.Status, d.Used)
		}
	})
	t.Run("passive checks", func(t *testing.T) {
		s := newSite(t)
		s.load(routed("reverse_proxy "+sick.address()+" {\n fail_duration 1h\n max_fails 1\n unhealthy_status 5xx\n}", ""), bothProviders)
		if d := attempted(t, s); d.History[0].Status != 500 || d.Used != 1 {
			t.Fatalf("first delivery %+v", d)
		}
		d := settled(t, do(t, s.soapnote("/soapnote", note("note-2"))).id(t), 1)
		if h := d.History[0]; h.Result != queue.ConnectError || d.Used != 0 {
			t.Errorf("%s with status %d, %d attempts used; want connect_error and none", h.Result, h.Status, d.Used)
		}
	})
}

func TestRouteSurvivesItsOwnTimeouts(t *testing.T) {
	hang := newBackend(t)
	hang.respond(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, tt := range map[string]struct{ options, transport string }{
		"upstream's timeout":  {"timeout 100ms", ""},
		"transport's timeout": {"", "transport http {\n response_header_timeout 100ms\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.load(routed("reverse_proxy "+hang.address()+" {\n"+tt.transport+"\n}", tt.options), bothProviders)
			d := attempted(t, s)
			if h := d.History[0]; h.Result != queue.Timeout || h.Status != 0 || d.Used != 1 || h.Duration > 10*time.Second {
				t.Errorf("%s with status %d after %s, %d attempts used; want a timeout that used one", h.Result, h.Status, h.Duration, d.Used)
			}
		})
	}
}

func TestRouteName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ehr", "EHR.clinic_2-b", "9"} {
		if !upstreamName.MatchString(name) {
			t.Fatalf("%s is no upstream's name", name)
		}
		if u, err := url.Parse("http://" + name + "/"); err != nil || u.Host != name {
			t.Errorf("%s is no host: %v", name, err)
		}
	}
}
