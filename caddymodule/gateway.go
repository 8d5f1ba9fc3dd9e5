package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// closeGrace is how long attempts under way may go on when the last
// configuration that used a queue is gone. What is cut off is tried again when
// the queue is opened the next time.
const closeGrace = 5 * time.Second

// exportGrace is how long the last spans may take to be exported.
const exportGrace = 2 * time.Second

// gateways holds the open queues by what they open. A reload finds the queue of
// the configuration that it replaces here, and so never closes it.
var gateways = caddy.NewUsagePool()

// A gateway is an open queue and the dispatcher that empties it. It outlives
// configurations, of which one at a time is active.
type gateway struct {
	key        string
	queue      queue.Queue
	dispatcher *forwarder.Dispatcher

	mu    sync.Mutex
	spans *sdktrace.TracerProvider // exports those of the attempts; nil until a configuration traces

	active   atomic.Pointer[App] // the configuration that delivers; nil if none does
	adopting sync.Mutex          // held while the queue adopts the active one's settings

	following  sync.Mutex // held while the engine's files are looked at
	followedAt time.Time  // guarded by following, as is
	refused    bool       // whether the queue could not take them on

	// current is the newest configuration that was active; it answers for the
	// admin API until it is released.
	current atomic.Pointer[App]

	writing trouble // with the queue's durable writes
	inquiry inquiry

	// users is locked for reading by handlers that are storing, and for good once
	// the gateway closes.
	users sync.RWMutex
}

// openGateway opens the queue with an app's settings.
func openGateway(a *App) (*gateway, error) {
	g := &gateway{key: a.engine.Key(), writing: trouble{begun: writingFails, over: writingWorks}, inquiry: newInquiry()}
	q, err := a.engine.Open(OpenOptions{
		Settings: a.queueSettings(), Logger: a.logger, Current: g.logger, OnCommit: observeCommit,
		OnFailure: g.written,
	})
	if err != nil {
		return nil, err
	}
	g.queue = q
	g.dispatcher = forwarder.New(q, forwarder.Options{Version: build.Version()})
	openGateways.add(g)
	return g, nil
}

// written records whether the queue could be written.
func (g *gateway) written(err error) {
	if err == nil {
		g.inquiry.refused.Store(0) // what comes next will be stored
	}
	g.writing.observe(err, g.logger)
}

// activate has the gateway deliver by a configuration, or, with nil, deliver
// nothing more: attempts under way end by themselves.
func (g *gateway) activate(a *App) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active.Store(a)
	if a == nil {
		g.dispatcher.Apply(forwarder.Config{})
		return
	}
	g.current.Store(a)
	g.adoptSoon(a)
	g.queue.Configure(a.queueSettings())
	upstreams := make([]forwarder.Upstream, len(a.Upstreams))
	for i, u := range a.Upstreams {
		upstreams[i] = u.settings(a)
		beginUpstream(u.Name)
	}
	g.dispatcher.Apply(forwarder.Config{Upstreams: upstreams, Observer: a.observer, Tracer: g.tracer(a)})
	g.warnOrphans(a)
}

// tracer is what makes the spans of a configuration's attempts; nil where it has
// no `tracing`. g.mu is held.
func (g *gateway) tracer(a *App) trace.Tracer {
	if !a.traced {
		return nil
	}
	if g.spans == nil {
		spans, err := newTracerProvider()
		if err != nil {
			a.logger.Error("deliveries are not traced", zap.Error(err))
			return nil
		}
		g.spans = spans
	}
	return newTracer(g.spans)
}

// store keeps an item durably.
func (g *gateway) store(ctx context.Context, it queue.Item) (queue.Receipt, error) {
	if g.following.TryLock() {
		if time.Since(g.followedAt) >= secret.RefreshInterval {
			g.followedAt = time.Now()
			go g.follow()
		} else {
			g.following.Unlock()
		}
	}
	receipt, err := g.queue.Store(ctx, it)
	g.inquiry.note(err)
	return receipt, err
}

// warnOrphans tells of events whose upstream the configuration does not know.
func (g *gateway) warnOrphans(a *App) {
	stats, err := g.stats()
	if err != nil {
		return
	}
	for name, s := range stats.Upstreams {
		if a.upstream(name) == nil && s.Pending+s.Dead > 0 {
			a.logger.Warn("events wait for an upstream that is not configured, and are kept: define the upstream again, or delete its events: caddy scribegate purge --upstream "+name,
				zap.String("upstream", name), zap.Int64("pending", s.Pending), zap.Int64("dead", s.Dead))
		}
	}
}

// configuration returns the configuration that answers for this gateway now.
func (g *gateway) configuration() *App {
	return g.current.Load()
}

// Destruct closes the queue once nobody uses it. It waits for handlers that are
// storing first, then for attempts under way.
func (g *gateway) Destruct() error {
	openGateways.remove(g)
	g.awaitUsers()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	err := g.dispatcher.Close(ctx)
	g.warnAbandoned()
	err = errors.Join(err, g.queue.Close())
	g.closeSpans()
	if err != nil {
		return fmt.Errorf("closing the queue: %w", err)
	}
	return nil
}

// closeSpans has the last spans exported. A collector that is away gets none.
func (g *gateway) closeSpans() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spans == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), exportGrace)
	defer cancel()
	if err := g.spans.Shutdown(ctx); err != nil {
		g.logger().Warn("the last deliveries' spans could not be exported", zap.Error(err))
	}
}

// enter holds the gateway open for a handler, until users is unlocked, and never
// waits. It returns false if the gateway closes.
func (g *gateway) enter() bool { return g.users.TryRLock() }

// awaitUsers lets no handler in any more, and waits for those that are there. None
// has longer than storeTimeout.
func (g *gateway) awaitUsers() {
	gone := make(chan struct{})
	go func() {
		g.users.Lock()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(storeTimeout + time.Second):
	}
}
