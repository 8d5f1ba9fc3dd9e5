package caddymodule

import (
	"errors"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func init() {
	caddy.RegisterModule(plainHandler{})
	httpcaddyfile.RegisterHandlerDirective("test_plain", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		handler := new(plainHandler)
		h.AllArgs(&handler.Does)
		return handler, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_plain", httpcaddyfile.Before, "respond")
}

// plainHandler is a Caddy handler of another plugin.
type plainHandler struct {
	Does string `json:"does,omitempty"`
}

func (plainHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_plain", New: func() caddy.Module { return new(plainHandler) }}
}

func (p plainHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	switch p.Does {
	case "panic":
		panic("SECRET " + r.URL.RawQuery)
	case "panic_after_status":
		w.WriteHeader(http.StatusOK)
		panic("SECRET")
	case "error":
		return errors.New("SECRET " + r.URL.RawQuery)
	case "interim":
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusInternalServerError) // too late
	case "flush":
		_ = http.NewResponseController(w).Flush()
		w.WriteHeader(http.StatusInternalServerError) // too late
	}
	return nil
}

func TestRouteHandlersOfOthers(t *testing.T) {
	tests := map[string]struct {
		result queue.Result
		status int
	}{
		"panic":              {queue.Failure, 0},
		"panic_after_status": {queue.Success, 200},
		"error":              {queue.Failure, 0},
		"interim":            {queue.Success, 202},
		"flush":              {queue.Success, 200},
	}
	for does, want := range tests {
		t.Run(does, func(t *testing.T) {
			captured.reset()
			s := newSite(t)
			s.load(routed("test_plain "+does, "format raw"), bothProviders)
			d := attempted(t, s)
			if h := d.History[0]; h.Result != want.result || h.Status != want.status || d.Used != 1 {
				t.Errorf("%s with status %d, %d attempts used; want %s, %d", h.Result, h.Status, d.Used, want.result, want.status)
			}
			silent(t)
		})
	}
}

// silent fails the test if Caddy's log has any part of the request that was sent, or of its
// answer.
func silent(t *testing.T) {
	t.Helper()
	lines := captured.String()
	if !strings.Contains(lines, `"scribegate.audit","msg":"accepted"`) {
		t.Fatalf("the log was not captured:\n%s", lines)
	}
	for _, secret := range []string{"QUERY-TEXT", "PATIENT-TEXT", "SECRET", "v1,", "Webhook-Signature", "X-Soapnoteapi-Signature"} {
		if strings.Contains(lines, secret) {
			t.Errorf("the log holds %s:\n%s", secret, lines)
		}
	}
}

// A census has the numbers that a leak would increase.
type census struct{ goroutines, files int }

func countNow() census {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return census{runtime.NumGoroutine(), len(files)}
}

// A final status is the answer, whatever the body is. The body leaves no goroutine, no connection
// and no line in the log.
func TestRouteAnswersThatDoNotEnd(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request, chunk string) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(chunk)); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	}
	tests := []struct {
		name   string
		status int
		answer http.HandlerFunc
	}{
		{"streams for ever", 200, func(w http.ResponseWriter, r *http.Request) {
			endless(w, r, strings.Repeat("SECRET-ANSWER", 1000))
		}},
		{"body that never comes", 200, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"body that never ends", 200, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("SECRET-ANSWER"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"longer than is read", 200, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat("SECRET-ANSWER", 100_000)))
		}},
		{"failure that streams for ever", 500, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			endless(w, r, "SECRET-ANSWER")
		}},
		{"early hints", 204, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</SECRET>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		}},
		{"unasked-for upgrade", 0, func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SECRET\r\n\r\n"))
				_ = c.Close()
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			captured.reset()
			s, b := newSite(t), newBackend(t)
			b.respond(tt.answer)
			s.load(routed("reverse_proxy "+b.address()+" {\n transport http {\n keepalive off\n }\n}", "format raw"), bothProviders)
			http.DefaultClient.CloseIdleConnections()
			before := countNow()
			d := attempted(t, s)
			h := d.History[0]
			if h.Status != tt.status || (tt.status/100 == 2) != (d.State == queue.Delivered) {
				t.Errorf("%s with status %d, %s", h.Result, h.Status, d.State)
			}
			eventually(t, "everything that belongs to the attempt to end", func() bool {
				http.DefaultClient.CloseIdleConnections()
				now := countNow()
				return now.goroutines <= before.goroutines && now.files <= before.files
			})
			silent(t)
		})
	}
}

// A backend that hangs leaves nothing open after the attempt's timeout.
func TestRouteTimeoutLeavesNothing(t *testing.T) {
	captured.reset()
	s, b := newSite(t), newBackend(t)
	gone := make(chan struct{}, 100)
	b.respond(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		gone <- struct{}{}
	})
	s.load(routed("reverse_proxy "+b.address(), "timeout 100ms\nformat raw"), bothProviders)
	http.DefaultClient.CloseIdleConnections()
	before := countNow()
	if d := attempted(t, s); d.History[0].Result != queue.Timeout {
		t.Errorf("%+v", d.History[0])
	}
	<-gone
	eventually(t, "everything that belongs to the attempt to end", func() bool {
		http.DefaultClient.CloseIdleConnections()
		now := countNow()
		return now.goroutines <= before.goroutines && now.files <= before.files
	})
	silent(t)
}

// After an answer with a short body the next delivery uses the same connection.
func TestRouteKeepsConnections(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	b.respond(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-From", r.RemoteAddr)
		_, _ = w.Write([]byte(`{"taken":`))
		_ = http.NewResponseController(w).Flush() // so that the body comes in chunks
		_, _ = w.Write([]byte(`true}`))
	})
	var addresses []string
	inner := b.Config.Handler
	b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addresses = append(addresses, r.RemoteAddr) // one after another: concurrency is 1
		inner.ServeHTTP(w, r)
	})
	s.load(routed("reverse_proxy "+b.address(), "concurrency 1"), bothProviders)
	for i, id := range []string{"a", "b", "c"} {
		if got := do(t, s.soapnote("/soapnote", note(id))); got.status != http.StatusOK {
			t.Fatalf("answer %d", got.status)
		}
		b.wait(t, i+1)
		eventually(t, "the delivery to be settled", func() bool { return queued(t).Upstreams[0].Pending == 0 })
	}
	if addresses[0] != addresses[1] || addresses[1] != addresses[2] {
		t.Errorf("connections from %v, want one", addresses)
	}
}
