package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// eventRoom is what an event of ordinary size takes up. A queue with less room than
// that refuses most of what comes.
const eventRoom = 4 << 10

// live answers that this process answers.
func (a *Admin) live(context.Context, *gateway, *http.Request, queue.Progress) (any, error) {
	return admin.Health{Status: "ok"}, nil
}

// ready answers whether an event could be stored now.
func (a *Admin) ready(_ context.Context, g *gateway, _ *http.Request, _ queue.Progress) (any, error) {
	if err := ready(g); err != nil {
		return nil, admin.Health{Status: "unavailable", Reason: err.Error()}
	}
	return admin.Health{Status: "ok"}, nil
}

// ready says why an event could not be stored now; nil if it could. A
// configuration without upstreams keeps nothing and needs no queue.
func ready(g *gateway) error {
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
	if since, err := g.writing.failure(); err != nil {
		return fmt.Errorf("events are refused: %w (since %s)", err, stamp(since))
	}
	stats, err := inquire(g, func(ctx context.Context) (queue.Stats, error) {
		if _, err := g.queue.Events(ctx, queue.Filter{Limit: 1}); err != nil {
			return queue.Stats{}, err
		}
		return g.queue.Stats()
	})
	switch {
	case errors.As(err, new(unanswered)):
		return fmt.Errorf("%w; %s", err, g.inquiry.newest())
	case err != nil:
		return fmt.Errorf("reading the queue: %w", err)
	}
	if stats.MaxBytes > 0 && stats.MaxBytes-stats.Bytes < eventRoom {
		return fmt.Errorf("the queue is full: it holds %s of %s; raise max_size, or see with `caddy scribegate status` which upstream accepts nothing",
			humanize.IBytes(uint64(stats.Bytes)), humanize.IBytes(uint64(stats.MaxBytes))) // both are above zero
	}
	if at, refusing := g.inquiry.refusing(time.Now()); refusing {
		return fmt.Errorf("events are refused: the queue %s did not store them in time, most recently at %s; check its disk and the log", g.key, stamp(at))
	}
	return nil
}
