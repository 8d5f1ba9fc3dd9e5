package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/caddymodule/internal/tracing"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// closeGrace is how long running attempts may continue after the last configuration
// that used a queue is gone. An attempt that is cut off is repeated when the queue is
// opened the next time.
const closeGrace = 5 * time.Second

// gateways holds the open queues by their engine's key. A reload finds the queue of the
// previous configuration here, and so never closes it.
var gateways = caddy.NewUsagePool()

// A Gateway is an open queue and the dispatcher that delivers from it. It outlives
// configurations, of which one at a time is active.
type Gateway struct {
	key        string
	queue      queue.Queue
	dispatcher *forwarder.Dispatcher
	results    *results.Set // asks the providers' APIs

	trail *chain.Chain // links the lines of the audit trail

	storeTimeout time.Duration // how long a handler may wait for the queue
	opening      *zap.Logger   // of the configuration that opened the queue

	mu    sync.Mutex
	spans *sdktrace.TracerProvider // exports the attempts' spans; nil until a configuration traces

	active   atomic.Pointer[Config] // the configuration that delivers, or nil
	adopting sync.Mutex             // held while the queue adopts the active one's settings

	// current is the newest configuration that was active. The admin API uses it
	// until the gateway closes.
	current atomic.Pointer[Config]

	writing trouble // with the queue's durable writes
	inquiry inquiry

	// users is locked for reading by handlers that are storing and by operations, and
	// locked forever when the gateway closes.
	users sync.RWMutex

	// closing ends, by calling end, when the gateway begins to close.
	closing context.Context //nolint:containedctx // of the gateway's life
	end     context.CancelCauseFunc
}

// open opens the queue with the settings of a configuration.
func open(c *Config) (*Gateway, error) {
	g := &Gateway{key: c.Engine.Key(), storeTimeout: c.StoreTimeout, opening: c.Logger, writing: trouble{begun: writingFails, over: writingWorks}, inquiry: newInquiry()}
	g.closing, g.end = context.WithCancelCause(context.Background())
	q, err := c.Engine.Open(OpenOptions{
		Settings: c.Settings, Current: g.logger, OnCommit: metrics.Commit,
		OnFailure: g.written,
	})
	if err != nil {
		return nil, err
	}
	g.queue = q
	g.trail = newTrail(q)
	g.dispatcher = forwarder.New(q, forwarder.Options{Version: build.Version()})
	g.results = results.New(q, recoverable{g})
	q.Notify(g.wake)
	openGateways.add(g)
	go g.follow()
	return g, nil
}

// wake notifies the upstream or the stage that a delivery may have become due.
func (g *Gateway) wake(name string) {
	if queue.IsStage(name) {
		g.results.Wake(name)
		return
	}
	g.dispatcher.Wake(name)
}

// written records whether the queue could be written.
func (g *Gateway) written(err error) {
	if err == nil {
		g.inquiry.refused.Store(0) // the next event will be stored
	}
	g.writing.observe(err, g.logger)
}

// activate makes the gateway deliver by a configuration, or, with nil, stops its
// deliveries: running attempts end by themselves, and are reported.
func (g *Gateway) activate(c *Config) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.active.Swap(c)
	if c == nil {
		g.dispatcher.Apply(forwarder.Config{Observer: lastAttempts{before.Observer}})
		g.results.Apply(nil, nil)
		return
	}
	g.current.Store(c)
	g.adoptSoon(c)
	g.queue.Configure(c.Settings)
	for _, name := range c.UpstreamNames() {
		metrics.BeginUpstream(name)
	}
	g.dispatcher.Apply(forwarder.Config{Upstreams: slices.Clone(c.Upstreams), Observer: c.Observer, Tracer: g.tracer(c)})
	g.results.Apply(c.APIs, c.APIObserver)
	g.warnOrphans(c)
}

// tracer returns the tracer for a configuration's attempts, or nil if it has no
// `tracing`. g.mu is held.
func (g *Gateway) tracer(c *Config) trace.Tracer {
	if !c.Traced {
		return nil
	}
	if g.spans == nil {
		spans, err := tracing.NewProvider()
		if err != nil {
			c.Logger.Error("deliveries are not traced", zap.Error(err))
			return nil
		}
		g.spans = spans
	}
	return tracing.NewTracer(g.spans)
}

// Store durably stores an item.
func (g *Gateway) Store(ctx context.Context, it queue.Item) (queue.Receipt, error) {
	receipt, err := g.queue.Store(ctx, it)
	g.inquiry.note(err)
	return receipt, err
}

// warnOrphans logs a warning for each upstream that has events and is not configured, and
// for each provider's API that events wait for and that has no key.
func (g *Gateway) warnOrphans(c *Config) {
	stats, err := g.Stats()
	if err != nil {
		return
	}
	for name, s := range stats.Upstreams {
		if !c.has(name) && s.Pending+s.Dead > 0 {
			c.Logger.Warn("events wait for an upstream that is not configured, and are kept: define the upstream again, or delete its events: caddy scribegate purge --upstream "+name,
				zap.String("upstream", name), zap.Int64("pending", s.Pending), zap.Int64("dead", s.Dead))
		}
	}
	for name, s := range stats.Stages {
		if s.Pending == 0 || g.results.Has(name) {
			continue
		}
		provider, source := queue.StageOf(name)
		about := []zap.Field{zap.String("provider", provider), zap.String("source", source), zap.Int64("events", s.Pending)}
		if queue.IsCleanup(name) {
			c.Logger.Warn("results wait to be deleted at their provider, and no handler with their source has delete_after_delivery; add it again, or delete them with: caddy scribegate recover soniox --prune", about...)
			continue
		}
		c.Logger.Warn("events wait for their provider's API to confirm them, and no handler with their source has an api_key; add api_key again, or deliver them as they are: caddy scribegate replay <id>", about...)
	}
}

// Queue returns the open queue.
func (g *Gateway) Queue() queue.Queue { return g.queue }

// Config returns the newest configuration that was active, or nil if none was.
func (g *Gateway) Config() *Config { return g.current.Load() }

// Route returns the names of the upstreams that an event is delivered to as the handlers
// are configured now, or nil.
func (g *Gateway) Route(e *event.Event) []string {
	if c := g.Config(); c != nil {
		return c.Route(e)
	}
	return nil
}

// Probe probes a paused upstream at once, or every one if the name is empty, and every
// paused API.
func (g *Gateway) Probe(upstream string) {
	g.dispatcher.Probe(upstream)
	g.results.Probe()
}

// logger returns the logger of the newest configuration that was active, or, before the first,
// of the one that opened the queue, which the gateway outlives.
func (g *Gateway) logger() *zap.Logger {
	if c := g.Config(); c != nil {
		return c.Logger
	}
	return g.opening
}

// Destruct implements caddy.Destructor: it closes the queue when no configuration uses it
// any more. It first waits for handlers that are storing and for operations, which it ends
// early, and then for running attempts.
func (g *Gateway) Destruct() error {
	g.end(queue.ErrClosed)
	openGateways.remove(g)
	g.awaitUsers()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	asked := make(chan error, 1)
	go func() { asked <- g.results.Close(ctx) }()
	err := errors.Join(g.dispatcher.Close(ctx), <-asked)
	g.warnAbandoned()
	if c := g.Config(); c != nil && c.EndAudit != nil {
		c.EndAudit()
	}
	err = errors.Join(err, g.queue.Close())
	g.closeSpans()
	if err != nil {
		return fmt.Errorf("closing the queue: %w", err)
	}
	return nil
}

// closeSpans exports the last spans.
func (g *Gateway) closeSpans() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spans == nil {
		return
	}
	if err := tracing.Close(g.spans); err != nil {
		g.logger().Warn("the last deliveries' spans could not be exported", zap.Error(err))
	}
}

// enter holds the gateway open for a handler until users is unlocked. It never waits,
// and returns false if the gateway closes.
func (g *Gateway) enter() bool { return g.users.TryRLock() }

// Begin holds the gateway open for an operation, such as a purge, until done is called. The
// context that it returns ends with ctx and, with the cause [queue.ErrClosed], when the gateway
// begins to close. So the operation ends early, and still has time to record what it did.
// Begin returns [queue.ErrClosed] if the gateway closes already.
func (g *Gateway) Begin(ctx context.Context) (_ context.Context, done func(), err error) {
	if !g.enter() {
		return nil, nil, queue.ErrClosed
	}
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(g.closing, func() { end(queue.ErrClosed) })
	return ctx, func() {
		stop()
		end(nil)
		g.users.RUnlock()
	}, nil
}

// awaitUsers lets no further handler or operation in, and waits for those that run. None of
// them takes longer than StoreTimeout.
func (g *Gateway) awaitUsers() {
	gone := make(chan struct{})
	go func() {
		g.users.Lock()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(g.storeTimeout + time.Second):
	}
}
