package caddymodule

import (
	"context"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
)

func init() { caddy.RegisterModule(gatedEngine{}) }

// gatedQueue opens the block of an engine that stores and counts only while storeGate and
// countGate are open.
const gatedQueue = "queue gated {\n\t\t\tpath "

// gatedEngine is SQLite behind a gate.
type gatedEngine struct{ SQLite }

// CaddyModule returns the Caddy module information.
func (gatedEngine) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.queues.gated", New: func() caddy.Module { return new(gatedEngine) }}
}

func (e *gatedEngine) Key() string { return "gated:" + e.Path }

func (e *gatedEngine) Open(o OpenOptions) (queue.Queue, error) {
	q, err := e.SQLite.Open(o)
	if err != nil {
		return nil, err
	}
	return &gated{Queue: q.(*sqlitequeue.Queue), onFailure: o.OnFailure}, nil
}

func (e *gatedEngine) Check(queue.Queue) error { return nil }

func (e *gatedEngine) Adopt(queue.Queue) error { return nil }

type gated struct {
	*sqlitequeue.Queue

	onFailure func(error) // of the OpenOptions
}

func (q *gated) Store(ctx context.Context, it queue.Item) (queue.Receipt, error) {
	if err := storeGate.pass(ctx); err != nil {
		return queue.Receipt{}, err
	}
	return q.Queue.Store(ctx, it)
}

func (q *gated) Stats() (queue.Stats, error) {
	if err := countGate.pass(context.Background()); err != nil {
		return queue.Stats{}, err
	}
	return q.Queue.Stats()
}

// The gates of all gated queues.
var (
	storeGate = gate{open: closedChannel(), reached: make(chan struct{}, 1)}
	countGate = gate{open: closedChannel(), reached: make(chan struct{}, 1)}
)

type gate struct {
	mu      sync.Mutex
	open    chan struct{} // closed while the gate is open
	reached chan struct{} // gets a token when a call comes to the closed gate
	fails   error         // what calls get at once instead of waiting
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// shut has calls wait until release is called, or fail with err at once where
// it is not nil.
func (g *gate) shut(err error) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := make(chan struct{})
	g.open, g.fails, g.reached = open, err, make(chan struct{}, 64)
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.fails = nil
		close(open)
	})
}

func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	open, reached, fails := g.open, g.reached, g.fails
	g.mu.Unlock()
	select {
	case <-open:
		return nil
	default:
	}
	select {
	case reached <- struct{}{}:
	default:
	}
	if fails != nil {
		return fails
	}
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
