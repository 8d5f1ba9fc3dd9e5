//go:build postgres

package postgres

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// neighbour starts another node that delivers to the gateway's backend.
func (g *gateway) neighbour(schema string) *forwarder.Dispatcher {
	g.t.Helper()
	key, err := seal.ParseKey(os.Getenv("KEY"))
	if err != nil {
		g.t.Fatal(err)
	}
	q, err := postgresqueue.Open(postgresqueue.Options{DSN: server.DSN(), Schema: schema, Keys: []seal.Key{key}, Settings: queue.DefaultSettings(), Node: "neighbour"})
	if err != nil {
		g.t.Fatal(err)
	}
	at, err := url.Parse(g.backend.URL)
	if err != nil {
		g.t.Fatal(err)
	}
	d := forwarder.New(q, forwarder.Options{})
	g.t.Cleanup(func() {
		_ = d.Close(g.t.Context())
		_ = q.Close()
	})
	d.Apply(forwarder.Config{Upstreams: []forwarder.Upstream{{Name: "ehr", Sender: forwarder.NewURLSender(at, 1), Identity: g.backend.URL}}})
	return d
}

func (g *gateway) status() (s admin.Status) {
	g.t.Helper()
	_, text := g.admin(http.MethodGet, "/scribegate/status", "")
	if err := json.Unmarshal([]byte(text), &s); err != nil || len(s.Upstreams) != 1 {
		g.t.Fatalf("%s, %v", text, err)
	}
	return s
}

// A Retry-After that one gateway gets is in the status of all, and a replay at one of them
// ends it on all. The status has both gateways, and the metrics count them.
func TestPausesAreShared(t *testing.T) {
	schema := fmt.Sprint("pauses", schemas.Add(1))
	g := newGateway(t, server.DSN(), schema)
	other := g.neighbour(schema)
	g.fails.Store(http.StatusTooManyRequests)
	if status, text := g.send("a"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	commandtest.WaitUntil(t, "both are paused", func() bool {
		u, o := g.status().Upstreams[0], other.Status()[0]
		return u.Paused && u.PauseReason == forwarder.RetryAfter && o.Paused && o.PauseReason == forwarder.RetryAfter
	})
	if n := len(g.status().Queue.Nodes); n != 2 {
		t.Errorf("%d nodes", n)
	}
	commandtest.WaitUntil(t, "the metrics count the nodes", func() bool {
		_, text := g.admin(http.MethodGet, "/metrics", "")
		return strings.Contains(text, "\nscribegate_queue_nodes 2\n") && strings.Contains(text, "\nscribegate_queue_round_trip_seconds ") &&
			strings.Contains(text, "\nscribegate_queue_leased_events ") && strings.Contains(text, "\nscribegate_queue_standbys 0\n")
	})
	g.fails.Store(0)
	if status, text := g.admin(http.MethodPost, "/scribegate/replay", `{"since":"1h"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	g.wait(1)
	commandtest.WaitUntil(t, "both go on", func() bool { return !g.status().Upstreams[0].Paused && !other.Status()[0].Paused })
}
