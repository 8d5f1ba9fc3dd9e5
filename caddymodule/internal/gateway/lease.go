package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/chain"
)

// ErrNotRunning is returned if the app never started or was removed.
var ErrNotRunning = errors.New("the scribegate app is not running")

// A Lease is one configuration's hold on a gateway. A request that arrives before the app
// has started waits for the gateway. A request that is still in its handler after the app was
// stopped and cleaned up can still use it.
type Lease struct {
	ready   chan struct{} // closed once gateway is set, or never will be
	gateway atomic.Pointer[Gateway]

	mu       sync.Mutex
	config   *Config
	released bool
}

// NewLease returns a lease that holds no gateway yet.
func NewLease() *Lease { return &Lease{ready: make(chan struct{})} }

// Acquire opens the gateway, or shares the open one. The configuration delivers once the
// configurations before it have stopped.
func (l *Lease) Acquire(c *Config) error {
	key := c.Engine.Key()
	value, loaded, err := gateways.LoadOrNew(key, func() (caddy.Destructor, error) { return open(c) })
	if err != nil {
		return err
	}
	g := value.(*Gateway)
	if loaded {
		if err := c.Engine.Check(g.queue); err != nil {
			_, _ = gateways.Delete(key) // the running configuration holds it open
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config = c
	l.gateway.Store(g)
	generations.add(generation{config: c, gateway: g})
	close(l.ready)
	return nil
}

// Trail returns the chain of the store's audit trail, or nil if no gateway is open.
func (l *Lease) Trail() *chain.Chain {
	if g := l.gateway.Load(); g != nil {
		return g.trail
	}
	return nil
}

// Deactivate ends the configuration's deliveries.
func (l *Lease) Deactivate() {
	if l.gateway.Load() != nil {
		generations.remove(l.config)
	}
}

// Release releases the gateway. Only the first call does anything.
func (l *Lease) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return nil
	}
	l.released = true
	g := l.gateway.Load()
	if g == nil {
		close(l.ready) // the configuration was rejected before this app started
		return nil
	}
	generations.remove(l.config) // a configuration that failed to start is not stopped
	_, err := gateways.Delete(g.key)
	return err
}

// Use waits for the gateway, and holds it open until done is called. A request that
// outlived its configuration, or that a rejected configuration received, gets the gateway that
// is open instead: its provider may never send it again.
func (l *Lease) Use(ctx context.Context) (g *Gateway, done func(), err error) {
	select {
	case <-l.ready:
	case <-ctx.Done():
		return nil, nil, ErrNotRunning
	}
	if g = l.gateway.Load(); g != nil && g.enter() {
		return g, g.users.RUnlock, nil
	}
	if g = Current(); g != nil && g.enter() {
		return g, g.users.RUnlock, nil
	}
	return nil, nil, ErrNotRunning
}
