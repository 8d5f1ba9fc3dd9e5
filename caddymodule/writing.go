package caddymodule

import (
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// writingLogEvery is how often it is told that the queue cannot write, which it
// tries again and again.
const writingLogEvery = time.Minute

// A writing is whether a queue can write what it is given.
type writing struct {
	mu    sync.Mutex
	err   error     // why the newest write failed; nil where it did not
	since time.Time // of the first failure
	told  time.Time // when it was last logged
}

// observe takes in how a write went: with nil that the queue writes again.
func (w *writing) observe(err error, logger func() *zap.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		logger().Info("the queue can be written again", zap.Duration("after", now.Sub(w.since)))
		w.err, w.told = nil, time.Time{}
		return
	case w.err == nil:
		w.since = now
	}
	w.err = err
	if now.Sub(w.told) < writingLogEvery {
		return
	}
	w.told = now
	logger().Error("the queue cannot be written; events are refused with 503 until it can, and it is tried again and again", zap.Error(err))
}

// failure returns why the queue cannot write; nil where it can.
func (w *writing) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// logger is that of whichever configuration answers for the gateway, which
// outlives the one that opened it.
func (g *gateway) logger() *zap.Logger {
	if a := g.configuration(); a != nil {
		return a.logger
	}
	return caddy.Log().Named(appName)
}
