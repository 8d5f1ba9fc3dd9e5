package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// closeGrace is how long attempts under way may go on when the last
// configuration that used a queue is gone. What is cut off is tried again when
// the queue is opened the next time.
const closeGrace = 5 * time.Second

// gateways holds the open queues by what they open. A reload finds the queue of
// the configuration that it replaces here, and so never closes it.
var gateways = caddy.NewUsagePool()

// A gateway is an open queue and the dispatcher that empties it. It outlives
// configurations and keeps nothing of one: their settings are generations, of
// which the oldest that has not been stopped acts. A configuration that is
// being loaded therefore delivers nothing until the one before it has stopped,
// which Caddy does only once the new one has started whole.
type gateway struct {
	key        string
	opened     time.Time
	queue      queue.Queue
	dispatcher *forwarder.Dispatcher

	mu          sync.Mutex
	generations []*App
	acting      *App
	last        *App // the newest that acted; it answers for the admin API until it is released

	users  sync.RWMutex // held for reading by handlers that are storing
	closed bool         // guarded by users
}

// openGateway opens the queue with an app's settings.
func openGateway(a *App) (*gateway, error) {
	q, err := a.engine.Open(OpenOptions{Settings: a.queueSettings(), Logger: a.logger, OnCommit: observeCommit})
	if err != nil {
		return nil, err
	}
	g := &gateway{key: a.engine.Key(), opened: time.Now(), queue: q}
	g.dispatcher = forwarder.New(q, forwarder.Options{Version: version()})
	return g, nil
}

// push lines a configuration up.
func (g *gateway) push(a *App) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.generations = append(g.generations, a)
	g.apply()
}

// remove takes a configuration out of the line.
func (g *gateway) remove(a *App) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.generations = slices.DeleteFunc(g.generations, func(other *App) bool { return other == a })
	g.apply()
}

// apply has the oldest configuration act. With none left the last one's
// deliveries end by themselves and no new ones begin.
func (g *gateway) apply() {
	if len(g.generations) == 0 {
		g.acting = nil
		g.dispatcher.Apply(forwarder.Config{})
		return
	}
	a := g.generations[0]
	if a == g.acting {
		return
	}
	g.acting, g.last = a, a
	if err := a.engine.Adopt(g.queue); err != nil {
		a.logger.Error("the queue could not take on the new settings and goes on with the old ones", zap.Error(err))
	}
	g.queue.Configure(a.queueSettings())
	upstreams := make([]forwarder.Upstream, len(a.Upstreams))
	for i, u := range a.Upstreams {
		upstreams[i] = u.settings(a)
	}
	g.dispatcher.Apply(forwarder.Config{Upstreams: upstreams, Observer: a.observer})
	g.warnOrphans(a)
}

// warnOrphans tells of events whose upstream the configuration does not know.
func (g *gateway) warnOrphans(a *App) {
	stats, err := g.queue.Stats()
	if err != nil {
		return
	}
	for name, s := range stats.Upstreams {
		if a.upstream(name) == nil && s.Pending+s.Dead > 0 {
			a.logger.Warn("events wait for an upstream that is not configured; they are kept: define it again or purge them",
				zap.String("upstream", name), zap.Int64("pending", s.Pending), zap.Int64("dead", s.Dead))
		}
	}
}

// configuration returns the configuration that answers for this gateway now.
func (g *gateway) configuration() *App {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// Destruct closes the queue once nobody uses it: handlers that are storing come
// first, then attempts under way.
func (g *gateway) Destruct() error {
	g.users.Lock()
	g.closed = true
	g.users.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := errors.Join(g.dispatcher.Close(ctx), g.queue.Close()); err != nil {
		return fmt.Errorf("closing the queue: %w", err)
	}
	return nil
}

// enter holds the gateway open for a handler, until users is unlocked. It
// reports whether the queue is still open.
func (g *gateway) enter() bool {
	g.users.RLock()
	if g.closed {
		g.users.RUnlock()
		return false
	}
	return true
}

// A lease is one configuration's hold on a gateway. Requests that come before
// the app has started wait for it, and requests that are still there after the
// app was stopped and cleaned up go on with it.
type lease struct {
	ready   chan struct{} // closed once gateway is set, or never will be
	gateway atomic.Pointer[gateway]

	mu       sync.Mutex
	key      string
	app      *App
	released bool
}

func newLease() *lease { return &lease{ready: make(chan struct{})} }

// take opens or shares the gateway and lines the app up.
func (l *lease) take(a *App) error {
	key := a.engine.Key()
	value, loaded, err := gateways.LoadOrNew(key, func() (caddy.Destructor, error) { return openGateway(a) })
	if err != nil {
		return err
	}
	g := value.(*gateway)
	if loaded {
		if err := a.engine.Check(g.queue); err != nil {
			_, _ = gateways.Delete(key) // the running configuration holds it open
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key, l.app = key, a
	l.gateway.Store(g)
	g.push(a)
	close(l.ready)
	return nil
}

// retire ends the app's turn.
func (l *lease) retire() {
	if g := l.gateway.Load(); g != nil {
		g.remove(l.app)
	}
}

// release lets the gateway go, once.
func (l *lease) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return nil
	}
	l.released = true
	g := l.gateway.Load()
	if g == nil {
		close(l.ready) // the configuration was given up before this app started
		return nil
	}
	g.remove(l.app) // a configuration that failed to start is not stopped
	_, err := gateways.Delete(l.key)
	return err
}

// use waits for the gateway and holds it open until done is called. A request
// that outlived its configuration, or came to one that was given up, is stored
// in the queue that is open instead: its provider may never send it again.
func (l *lease) use(ctx context.Context) (g *gateway, done func(), err error) {
	select {
	case <-l.ready:
	case <-ctx.Done():
		return nil, nil, errNotRunning
	}
	if g = l.gateway.Load(); g != nil && g.enter() {
		return g, g.users.RUnlock, nil
	}
	if g = currentGateway(); g != nil && g.enter() {
		return g, g.users.RUnlock, nil
	}
	return nil, nil, errNotRunning
}
