package caddymodule

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// adoptGrace is how long a configuration that becomes active waits for the queue to
// adopt its settings, which a slow disk can hold up. They come into force later then.
var adoptGrace = 2 * time.Second

// adopt has the queue adopt the settings of the active configuration, and returns
// that. To read which one it is and to adopt its settings is one step, so that the
// settings of a configuration never come after those of its successor.
func (g *gateway) adopt() (a *App, err error) {
	g.adopting.Lock()
	defer g.adopting.Unlock()
	if a = g.active.Load(); a != nil {
		err = a.engine.Adopt(g.queue)
	}
	return a, err
}

// adoptSoon waits for the queue to adopt a configuration's settings, but no longer
// than adoptGrace.
func (g *gateway) adoptSoon(a *App) {
	adopted := make(chan struct{})
	go func() {
		defer close(adopted)
		if a, err := g.adopt(); err != nil && !errors.Is(err, queue.ErrClosed) {
			a.logger.Error("the queue could not apply the new settings and keeps the old ones", zap.Error(err))
		}
	}()
	select {
	case <-adopted:
	case <-time.After(adoptGrace):
		a.logger.Warn("the queue has not applied the new settings yet, since its disk is slow or hangs; the old settings stay in force until it does", zap.String("queue", g.key))
	}
}

// follow has the queue adopt what has changed in the files that its engine's
// settings name, and unlocks following. No event waits for it.
func (g *gateway) follow() {
	defer g.following.Unlock()
	a, err := g.adopt()
	if a == nil || errors.Is(err, queue.ErrClosed) {
		return
	}
	if err != nil && !g.refused {
		a.logger.Error("the queue's settings have changed in a file and cannot be applied; the old ones stay in force", zap.Error(err))
	}
	g.refused = err != nil
}
