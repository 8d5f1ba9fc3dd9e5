package notify

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
	DeadLetter      = "scribegate.dead_letter"
	UpstreamPaused  = "scribegate.upstream_paused"
	UpstreamResumed = "scribegate.upstream_resumed"
	Rejected        = "scribegate.rejected"
)

// MaxWaiting is how many Caddy events may wait for slow subscribers.
const MaxWaiting = 256

// A Notifier emits a module's Caddy events. It calls the subscribers in order, as Caddy
// does, but from its own goroutine, which runs only while events wait. So no delivery and no
// provider ever waits for a subscriber. Events that come while MaxWaiting others wait are
// dropped, and counted in the log.
type Notifier struct {
	ctx    caddy.Context
	app    *caddyevents.App
	logger *zap.Logger

	mu      sync.Mutex
	busy    bool // the goroutine runs
	waiting []caddyEvent
	dropped int // since the last that was emitted
}

type caddyEvent struct {
	name string
	data map[string]any
}

// New returns the notifier of the module that is being provisioned.
func New(ctx caddy.Context) (*Notifier, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, fmt.Errorf("getting the events app: %w", err)
	}
	return &Notifier{ctx: ctx, app: app.(*caddyevents.App), logger: logging.Logger(ctx)}, nil
}

// Emit queues an event, or drops it.
func (n *Notifier) Emit(name string, data map[string]any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= MaxWaiting {
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

// startCheck is the interval in which a notifier checks whether its configuration has
// started.
const startCheck = 20 * time.Millisecond

// awaitStart waits until the configuration is the active one. The events app registers its
// subscribers when it starts, which may be after the first request, and must not emit before
// that. The notifier polls for the start instead of subscribing to an event, since other modules
// may emit events while a configuration is provisioned.
func (n *Notifier) awaitStart() {
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

func (n *Notifier) run() {
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
		n.call(next)
	}
}

// call calls the subscribers. The text of a panic is not logged, since it could contain
// anything.
func (n *Notifier) call(e caddyEvent) {
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
