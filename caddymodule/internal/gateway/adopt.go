package gateway

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// adoptGrace is how long a configuration that becomes active waits for the queue to
// adopt its settings. If a slow disk delays that, they come into force later. It is a variable
// for tests.
var adoptGrace = 2 * time.Second

// adopt makes the queue adopt the settings of the active configuration, and returns that
// configuration. Both happen under one lock, so that the settings of a configuration never
// replace those of its successor.
func (g *Gateway) adopt() (c *Config, err error) {
	g.adopting.Lock()
	defer g.adopting.Unlock()
	if c = g.active.Load(); c != nil {
		err = c.Engine.Adopt(g.queue)
	}
	return c, err
}

// adoptSoon starts the adoption of a configuration's settings, and waits for it, but no
// longer than adoptGrace.
func (g *Gateway) adoptSoon(c *Config) {
	adopted := make(chan struct{})
	go func() {
		defer close(adopted)
		if c, err := g.adopt(); err != nil && !errors.Is(err, queue.ErrClosed) {
			c.Logger.Error("the queue could not apply the new settings and keeps the old ones", zap.Error(err))
		}
	}()
	select {
	case <-adopted:
	case <-time.After(adoptGrace):
		c.Logger.Warn("the queue has not applied the new settings yet, since its disk is slow or hangs; the old settings stay in force until it does", zap.String("queue", g.key))
	}
}

// follow makes the queue adopt the changes in the files that its engine's settings name, until
// the gateway closes. No event waits for it.
func (g *Gateway) follow() {
	tick := time.NewTicker(secret.RefreshInterval)
	defer tick.Stop()
	refused := false
	for {
		select {
		case <-tick.C:
		case <-g.closing.Done():
			return
		}
		c, err := g.adopt()
		if c == nil || errors.Is(err, queue.ErrClosed) {
			continue
		}
		if err != nil && !refused {
			c.Logger.Error("the queue's settings have changed in a file and cannot be applied; the old ones stay in force", zap.Error(err))
		}
		refused = err != nil
	}
}
