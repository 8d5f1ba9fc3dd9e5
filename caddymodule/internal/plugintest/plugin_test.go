package plugintest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

const (
	token    = "the present token of the laboratory"
	oldToken = "the previous token of the laboratory"
)

// A gateway is Caddy with the provider and the engine of this package.
type gateway struct {
	t                 *testing.T
	adminAddr, listen string
	dir               string

	mu       sync.Mutex
	requests map[string]*http.Request // that backends received, by path
	bodies   map[string]string
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	t.Setenv("LAB_TOKEN", token)
	t.Setenv("LAB_OLD_TOKEN", oldToken)
	return &gateway{
		t: t, adminAddr: freeAddress(t), listen: freeAddress(t), dir: t.TempDir(),
		requests: make(map[string]*http.Request), bodies: make(map[string]string),
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// load runs a configuration. options are further lines of the app, and provider those of
// the provider.
func (g *gateway) load(backend, options, provider string) error {
	g.t.Helper()
	text := fmt.Sprintf(`{
	admin %s
	persist_config off
	storage file_system %s
	scribegate {
		queue drawer %s
		%s
		upstream ehr %s/ehr {
			events result.ready
		}
		upstream archive %s/archive {
			format raw
		}
	}
}
http://%s {
	scribegate /lab lab {
		token {env.LAB_TOKEN} {env.LAB_OLD_TOKEN}
		%s
		deliver_to ehr archive
	}
}
`, g.adminAddr, g.dir, filepath.Join(g.dir, "drawer.db"), options, backend, backend, g.listen, provider)
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	return caddy.Load(cfg, true)
}

// ServeHTTP implements http.Handler: it is the backend of both upstreams.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests[r.URL.Path], g.bodies[r.URL.Path] = r, string(body)
	w.WriteHeader(http.StatusNoContent)
}

// received waits for the request to a path of the backend.
func (g *gateway) received(path string) (r *http.Request, body string) {
	g.t.Helper()
	commandtest.WaitUntil(g.t, "a request to "+path, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		r, body = g.requests[path], g.bodies[path]
		return r != nil
	})
	return r, body
}

// send sends a result, and returns the status of the answer.
func (g *gateway) send(token, body string) int {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, "http://"+g.listen+"/lab", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set(tokenHeader, token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// ask returns the answer of the admin endpoint.
func (g *gateway) ask(path string) string {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+g.adminAddr+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(body)
}

// wantMetrics fails the test unless every line is among the metrics.
func (g *gateway) wantMetrics(when string, lines ...string) {
	g.t.Helper()
	all := strings.Split(g.ask("/metrics"), "\n")
	for _, line := range lines {
		if !slices.Contains(all, line) {
			g.t.Errorf("%s: the metrics have no line %s", when, line)
		}
	}
}

// TestPlugin runs an event through a provider and an engine that use only exported
// interfaces.
func TestPlugin(t *testing.T) {
	g := newGateway(t)
	backend := httptest.NewServer(g)
	defer backend.Close()
	defer func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}()

	for _, options := range []string{"", "dedupe_window 2h"} { // in the Caddyfile's check, then in the app's
		if err := g.load(backend.URL, options, "accepted 13h"); err == nil || !strings.Contains(err.Error(), "must be at least 26h0m0s, twice the tolerance of this handler") {
			t.Errorf("%q with a longer tolerance: error %v", options, err)
		}
	}
	if err := g.load(backend.URL, "", "accepted 1h"); err != nil {
		t.Fatal(err)
	}
	g.wantMetrics("at first",
		`scribegate_requests_rejected_total{provider="lab",reason="auth_mismatch"} 0`,
		`scribegate_secret_matched_total{index="0",provider="lab"} 0`,
		`scribegate_secret_matched_total{index="1",provider="lab"} 0`,
		`scribegate_events_received_total{outcome="unrouted",provider="lab",type="result.ready"} 0`)

	const body = `{"order":"A-1","value":"5.4"}`
	for _, step := range []struct {
		token, body string
		want        int
	}{
		{"forged", body, http.StatusUnauthorized},
		{oldToken, `{}`, http.StatusBadRequest},
		{oldToken, body, http.StatusOK},
		{token, body, http.StatusOK}, // a duplicate
	} {
		if got := g.send(step.token, step.body); got != step.want {
			t.Errorf("%s with %q: status %d, want %d", step.body, step.token, got, step.want)
		}
	}
	if _, got := g.received("/ehr"); !strings.Contains(got, `"id":"lab-A-1"`) || !strings.Contains(got, `"type":"com.lab.result.ready"`) {
		t.Errorf("delivered %s", got)
	}
	if r, got := g.received("/archive"); got != body || r.Header.Get(tokenHeader) != token {
		t.Errorf("delivered %s with the token %q", got, r.Header.Get(tokenHeader))
	}
	g.wantMetrics("at the end",
		`scribegate_requests_rejected_total{provider="lab",reason="auth_mismatch"} 1`,
		`scribegate_secret_matched_total{index="0",provider="lab"} 1`,
		`scribegate_secret_matched_total{index="1",provider="lab"} 2`,
		`scribegate_events_received_total{outcome="accepted",provider="lab",type="result.ready"} 1`,
		`scribegate_events_received_total{outcome="duplicate",provider="lab",type="result.ready"} 1`)
	var s admin.Status
	if err := json.Unmarshal([]byte(g.ask("/scribegate/status")), &s); err != nil || s.Queue.Engine != "drawer" {
		t.Errorf("the status has the engine %q, error %v", s.Queue.Engine, err)
	}
}
