package gateway

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// A Config is all that a gateway needs of one Caddy configuration. It is not changed once
// it is acquired, and remains valid after the configuration is stopped.
type Config struct {
	Engine    Engine
	Settings  queue.Settings
	Upstreams []forwarder.Upstream
	APIs      []results.API
	Observer  forwarder.Observer

	// Logger logs what concerns the configuration and the queue as a whole. Its warnings are
	// recorded: see logging.Configuration.
	Logger *zap.Logger

	// APIObserver reports what is asked of the APIs.
	APIObserver *results.Observer

	// Traced is whether deliveries make spans.
	Traced bool

	// Route returns the names of the upstreams that an event is delivered to as the
	// handlers are configured now, with those of its stages, or nil.
	Route func(e *event.Event) []string

	// Item returns an event that its provider's API returned, as it is stored, and its
	// outcome.
	Item func(e *event.Event) (queue.Item, receive.Outcome)

	// EndAudit writes the last line of the audit trail, and waits until all of its lines are
	// written. It may be nil.
	EndAudit func()

	// StoreTimeout is how long a handler may wait for the queue.
	StoreTimeout time.Duration

	// AdminPayloads is whether the admin API returns payloads.
	AdminPayloads bool
}

// UpstreamNames returns the names of the upstreams, in their order.
func (c *Config) UpstreamNames() []string {
	names := make([]string, len(c.Upstreams))
	for i, u := range c.Upstreams {
		names[i] = u.Name
	}
	return names
}

// has reports whether an upstream of that name is configured.
func (c *Config) has(upstream string) bool {
	return slices.ContainsFunc(c.Upstreams, func(u forwarder.Upstream) bool { return u.Name == upstream })
}
