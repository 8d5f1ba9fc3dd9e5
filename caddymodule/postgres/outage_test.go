//go:build postgres

package postgres

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder"
)

// While a backend fails, only one gateway at a time probes it. When a probe of one gets
// through, both go on.
func TestOutageIsProbedByOne(t *testing.T) {
	schema := fmt.Sprint("outage", schemas.Add(1))
	g := newGateway(t, server.DSN(), schema)
	other := g.neighbour(schema)
	g.fails.Store(cutOff)
	const events = 40
	for i := range events {
		if status, text := g.send(fmt.Sprint(i)); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
	}
	commandtest.WaitUntil(t, "both are paused", func() bool {
		return g.status().Upstreams[0].PauseReason == forwarder.Failures && other.Status()[0].PauseReason == forwarder.Failures
	})
	time.Sleep(500 * time.Millisecond) // attempts that have begun before end
	before, began := g.attempts.Load(), time.Now()
	time.Sleep(7 * time.Second)
	// Of one schedule, with a probe after 1, 2, 4 and 8 s.
	if n := g.attempts.Load() - before; n < 1 || n > 4 {
		t.Errorf("%d attempts in %s while both gateways were paused", n, time.Since(began))
	}
	g.fails.Store(0)
	g.wait(events)
	commandtest.WaitUntil(t, "both go on", func() bool { return !g.status().Upstreams[0].Paused && !other.Status()[0].Paused })
}
