package caddymodule

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

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

// take opens or shares the gateway, and lets the app deliver once those before it have
// stopped.
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
	generations.add(generation{app: a, gateway: g})
	close(l.ready)
	return nil
}

// deactivate ends the app's deliveries.
func (l *lease) deactivate() {
	if l.gateway.Load() != nil {
		generations.remove(l.app)
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
	if l.gateway.Load() == nil {
		close(l.ready) // the configuration was given up before this app started
		return nil
	}
	generations.remove(l.app) // a configuration that failed to start is not stopped
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
