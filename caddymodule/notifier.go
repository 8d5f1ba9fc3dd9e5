package caddymodule

import (
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
)

// The Caddy events that are emitted. Their data are ids, names and reasons.
const (
	eventDeadLetter      = "scribegate.dead_letter"
	eventUpstreamPaused  = "scribegate.upstream_paused"
	eventUpstreamResumed = "scribegate.upstream_resumed"
	eventRejected        = "scribegate.rejected"
)

// maxWaiting is how many Caddy events wait for subscribers that are slow.
const maxWaiting = 256

// A notifier emits a module's Caddy events. Subscribers are called one after
// the other, as Caddy does it, but by a goroutine of the notifier's own, which
// is there only while something waits: no delivery and no provider waits for a
// subscriber, whatever it does. Events that come while maxWaiting others wait
// are dropped; the log says how many.
type notifier struct {
	ctx    caddy.Context
	app    *caddyevents.App
	logger *zap.Logger

	mu      sync.Mutex
	busy    bool // the goroutine is there
	waiting []caddyEvent
	dropped int // since the last that was emitted
}

type caddyEvent struct {
	name string
	data map[string]any
}

// newNotifier makes the notifier of the module that is being provisioned.
func newNotifier(ctx caddy.Context) (*notifier, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, fmt.Errorf("getting the events app: %w", err)
	}
	return &notifier{ctx: ctx, app: app.(*caddyevents.App), logger: logging.Logger(ctx)}, nil
}

// emit has the event emitted soon, or drops it.
func (n *notifier) emit(name string, data map[string]any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= maxWaiting {
		if n.dropped == 0 {
			n.logger.Warn("the subscribers to Scribegate's events are slower than the events; some are dropped", zap.String("event", name))
		}
		n.dropped++
		return
	}
	n.waiting = append(n.waiting, caddyEvent{name, data})
	if !n.busy {
		n.busy = true
		go n.run()
	}
}

// startCheck is how often it is looked whether the configuration has started.
const startCheck = 20 * time.Millisecond

// awaitStart waits until the configuration acts: the events app takes on its
// subscribers when it starts, which may be after the first request, and must not
// be asked to emit meanwhile. That is seen and not subscribed to, since others
// may emit while a configuration is provisioned.
func (n *notifier) awaitStart() {
	for n.ctx.Err() == nil {
		if app, err := caddy.ActiveContext().AppIfConfigured("events"); err == nil && app == n.app {
			return
		}
		select {
		case <-n.ctx.Done():
		case <-time.After(startCheck):
		}
	}
}

func (n *notifier) run() {
	n.awaitStart()
	for {
		n.mu.Lock()
		if len(n.waiting) == 0 {
			n.busy = false
			n.mu.Unlock()
			return
		}
		next, dropped := n.waiting[0], n.dropped
		n.waiting, n.dropped = n.waiting[1:], 0
		n.mu.Unlock()
		if dropped > 0 {
			n.logger.Warn("events were dropped, since their subscribers were slow", zap.Int("dropped", dropped))
		}
		n.hand(next)
	}
}

// hand calls the subscribers. What a panic says is not repeated, since it could
// quote anything.
func (n *notifier) hand(e caddyEvent) {
	defer func() {
		if recover() != nil {
			n.logger.Error("a subscriber to an event panicked", zap.String("event", e.name))
		}
	}()
	if n.ctx.Err() != nil {
		return // the configuration has ended, and its subscribers with it
	}
	n.app.Emit(n.ctx, e.name, e.data)
}
