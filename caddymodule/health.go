package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// readyTimeout is how long the queue may take to be read for a probe.
	readyTimeout = 2 * time.Second

	// eventRoom is what an event of ordinary size takes up. A queue with less
	// room than that refuses most of what comes.
	eventRoom = 4 << 10
)

// health is what a probe is told.
type health struct {
	Status string `json:"status"` // "ok" or "unavailable"
	Reason string `json:"reason,omitempty"`
}

// health answers a container's probes. That this process is live needs no more
// than the answer.
func (a *Admin) health(r *http.Request, probe string) (any, error) {
	if r.Method != http.MethodGet {
		return nil, errMethod
	}
	if err := onlyParameters(r.URL.Query()); err != nil {
		return nil, err
	}
	if probe == "ready" {
		if err := ready(r.Context()); err != nil {
			return health{Status: "unavailable", Reason: err.Error()}, adminError{http.StatusServiceUnavailable, err.Error()}
		}
	}
	return health{Status: "ok"}, nil
}

// ready says why an event could not be taken now; nil if it could. A
// configuration without upstreams keeps nothing and needs no queue.
func ready(ctx context.Context) error {
	g := currentGateway()
	if g == nil {
		active := caddy.ActiveContext()
		if active.Context == nil {
			return errors.New("no configuration is running")
		}
		if app, err := active.AppIfConfigured(appName); err == nil && len(app.(*App).Upstreams) > 0 {
			return errors.New("the queue is not open")
		}
		return nil
	}
	if err := g.writing.failure(); err != nil {
		return fmt.Errorf("events are refused: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if _, err := g.queue.Events(ctx, queue.Filter{Limit: 1}); err != nil {
		return fmt.Errorf("reading the queue: %w", err)
	}
	stats, err := g.queue.Stats()
	if err != nil {
		return fmt.Errorf("reading the queue: %w", err)
	}
	if stats.MaxBytes > 0 && stats.MaxBytes-stats.Bytes < eventRoom {
		return fmt.Errorf("the queue is full: it holds %s of %s; raise max_size, or see with `caddy scribegate status` which upstream takes nothing",
			humanize.IBytes(uint64(stats.Bytes)), humanize.IBytes(uint64(stats.MaxBytes))) // both are above zero
	}
	return nil
}
